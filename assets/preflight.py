"""The preflight: a role is tried before anything is trained or bought with it, by a job or by whoever asks first."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager

import dagster as dg
from pydantic import Field

from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import locked
from teams_dagster.core.protocol import ModelIdentity, Role, Usage
from teams_dagster.instructions.seeds import load_seeds
from teams_dagster.instructions.stored_seeds import seed_sources
from teams_dagster.ledger.budgets import Budget, Limit, run_scope
from teams_dagster.ledger.traits import traits_of
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.query_forecast import EpisodeStats
from teams_dagster.preflight.lines import role_line
from teams_dagster.preflight.measured import episode_stats
from teams_dagster.preflight.plan import FULL, QUICK, REWRITERS, Planned, Size, most_queries, planned, record_key
from teams_dagster.preflight.record import FOLDER, RoleRecord, read_record, usable_record, write_record
from teams_dagster.preflight.trying import try_role
from teams_dagster.pricing.prices import PriceTable, load_prices

PREFLIGHT = "preflight"
"""What its queries are for, in the ledger's column `asset_key`, and the name of its budget."""

RULES = "offline"
"""The provider of the embedded rules, which pass untried."""


def preflight_of(context: dg.AssetExecutionContext, models: LanguageModels, *roles: Role) -> list[str]:
    """What the preflight of `roles` warns of; a role that was not tried yet is tried first.

    Raises dagster.Failure where a role does not pass and `TEAMS_PREFLIGHT` is `required`.
    """
    identities, mode = _asked(models, roles), models.settings().preflight
    if not identities:
        return []
    if mode == "off":
        return [f"{role.value} was not tried before it was asked: TEAMS_PREFLIGHT=off" for role in identities]
    data_dir, found = models.settings().data_dir, dict[Role, RoleRecord]()
    with locked(data_dir / FOLDER / ".lock", waiting=lambda: context.log.info("another step tries the roles")):
        for role, identity in identities.items():
            if (record := usable_record(data_dir, role, record_key(role, identity))) is not None:
                found[role] = record
        missing = [role for role in identities if role not in found]
        if missing:
            tried = try_roles(models, context.run.run_id, missing, FULL, log=context.log.info)
            found |= {record.role: record for record in tried}
    failures = [sentence for record in found.values() for sentence in record.failures]
    if failures and mode == "required":
        raise failed(failures)
    sentences = [f"{sentence} (TEAMS_PREFLIGHT=warn: it went on all the same)" for sentence in failures]
    sentences += [sentence for record in found.values() for sentence in record.warnings]
    for sentence in sentences:
        context.log.warning(sentence)
    return sentences


def failed(failures: Sequence[str]) -> dg.Failure:
    """What stops a step, not to be tried again."""
    return dg.Failure(
        f"preflight: {'; '.join(failures)}. Nothing was trained or bought. TEAMS_PREFLIGHT=warn goes on all the same",
        allow_retries=False,
    )


def try_roles(
    models: LanguageModels, run_id: str, roles: Collection[Role], size: Size, *, log: Callable[[str], None]
) -> list[RoleRecord]:
    """Try roles that language models serve, one after another, and keep what was found out.

    A role that was tried alike already is not tried again. The queries count in the project's budget and in one of
    their own. Raises dagster.Failure, as `LanguageModels.asking` does.
    """
    settings, identities = models.settings(), _asked(models, roles)
    data_dir, quick = settings.data_dir, size != FULL
    known = {
        role: record
        for role, identity in identities.items()
        if (record := read_record(data_dir, role, record_key(role, identity), quick=quick)) is not None
        and record.settled
    }
    for record in known.values():
        log(f"{role_line(record)}; as tried before")
    if known.keys() == identities.keys():
        return list(known.values())
    path, evaluation_texts = seed_sources(settings.seeds, settings.evaluation_sets)
    texts = [seed.instruction for seed in load_seeds(path, evaluation_texts=evaluation_texts).seeds]
    plans = [planned(role, who, texts, size) for role, who in identities.items() if role not in known]
    asked = {plan.role for plan in plans} | (
        {Role.REVIEWER} if any(plan.role in REWRITERS for plan in plans) else set()
    )
    bound = Limit(run_scope(run_id, PREFLIGHT), Budget(queries=most_queries(plans)))
    expected = [kind for plan in plans for kind in plan.forecasts()]
    asking = models.asking(CallContext(run_id, PREFLIGHT), *asked, expected=expected, log=log, named=[bound])
    tried = loop.run(_tried(asking, plans, load_prices(settings.prices), settings.max_in_flight))
    with models.ledger.open() as ledger:
        tried = [
            record.model_copy(update={"traits": traits_of(ledger.engine, identities[record.role])}) for record in tried
        ]
    for record in tried:
        write_record(data_dir, record)
        log(role_line(record))
    return [*known.values(), *tried]


async def _tried(
    asking: AbstractAsyncContextManager[Engine], plans: Sequence[Planned], prices: PriceTable, most: int
) -> list[RoleRecord]:
    """One role after another: side by side they would slow each other down, and be measured so."""
    async with asking as engine:
        return [
            await try_role(engine, plan, most=most, priced=_priced(prices, engine.identity(plan.role)))
            for plan in plans
        ]


def _priced(prices: PriceTable, identity: ModelIdentity) -> bool:
    return prices.cost(identity, Usage(1, 0, 1, 0, 0)) is not None


def _asked(models: LanguageModels, roles: Collection[Role]) -> dict[Role, ModelIdentity]:
    """Those of `roles` that language models serve."""
    return {role: who for role, who in models.found_out(*roles).items() if who.provider != RULES}


def records_of(models: LanguageModels, *, quick: bool) -> list[RoleRecord]:
    """What is on record of the configured roles' preflight."""
    settings = models.settings()
    return [
        record
        for role, who in _asked(models, [role for role in Role if role in settings.roles]).items()
        if (record := read_record(settings.data_dir, role, record_key(role, who), quick=quick)) is not None
    ]


def tried_episodes(models: LanguageModels, rewriter: Role) -> EpisodeStats | None:
    """What the preflight of `rewriter` says of the episodes to come; None where it was not tried."""
    identity = models.identities(rewriter)[rewriter]
    return episode_stats(usable_record(models.settings().data_dir, rewriter, record_key(rewriter, identity)))


class PreflightConfig(dg.Config):
    """How much is asked."""

    quick: bool = Field(default=False, description="A hundred queries instead of up to 600: wider intervals.")


@dg.op(name="try_roles", description="Try every role that the environment configures, before money is spent on them.")
def try_configured_roles(context: dg.OpExecutionContext, config: PreflightConfig, models: LanguageModels) -> None:
    """Raises dagster.Failure where a role does not pass."""
    settings = models.settings()
    roles = [role for role in Role if role in settings.roles]
    if not _asked(models, roles):
        context.log.info("every role is served by the embedded rules: nothing to try")
        return
    records = try_roles(models, context.run_id, roles, QUICK if config.quick else FULL, log=context.log.info)
    if failures := [sentence for record in records for sentence in record.failures]:
        raise failed(failures)


@dg.job(
    name=PREFLIGHT,
    executor_def=dg.in_process_executor,
    description="Every configured role tried before money, as `teams preflight` does: reachable, readable, better than"
    " chance.",
)
def preflight() -> None:
    """The command `teams preflight` in the UI."""
    try_configured_roles()
