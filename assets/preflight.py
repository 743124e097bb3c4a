"""The preflight: a role is tried before anything is trained or bought with it, by a job or by whoever asks first."""

from collections.abc import Callable, Collection, Sequence

import dagster as dg
from pydantic import Field

from assets.pools import LANGUAGE_MODELS
from resources.language_models.roles import LanguageModels
from teams_dagster.core.files import locked
from teams_dagster.core.protocol import ModelIdentity, Role, Usage
from teams_dagster.instructions.stored_seeds import project_seeds, seed_sources
from teams_dagster.ledger.budgets import Budget, Limit, run_scope
from teams_dagster.ledger.traits import traits_of
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.policy.query_forecast import EpisodeStats
from teams_dagster.preflight.findings import role_line
from teams_dagster.preflight.plan import (
    FULL,
    QUICK,
    REWRITERS,
    Planned,
    Size,
    most_queries,
    planned,
    ratings_key,
    record_key,
)
from teams_dagster.preflight.record import (
    FOLDER,
    RoleRecord,
    episode_stats,
    gate_failures,
    read_record,
    usable_record,
    write_record,
)
from teams_dagster.preflight.trying import try_role
from teams_dagster.pricing.prices import PriceTable, load_prices

PREFLIGHT = "preflight"
"""What its queries are for, in the ledger's column `asset_key`, and the name of its budget."""

RULES = "offline"
"""The provider of the embedded rules, which pass untried."""


def preflight_of(
    context: dg.AssetExecutionContext, models: LanguageModels, *roles: Role, ratings: bool = False
) -> list[str]:
    """What the preflight of `roles` warns of; a role that was not tried yet is tried first.

    With `ratings` the judge is tried on ratings of pairs, too.

    Raises dagster.Failure where a role does not pass and `TEAMS_PREFLIGHT` is `required`.
    """
    settings, served = models.settings(), _served(models, roles)
    if settings.preflight == "off":
        return [f"{role.value} was not tried before it was asked: TEAMS_PREFLIGHT=off" for role in served]
    models.found_out(*served)
    deciding = _deciding(models, served, ratings=ratings)
    records = [record for record in deciding.values() if record is not None]
    if untried := [role for role, record in deciding.items() if record is None]:
        records += try_roles(models, context.run.run_id, untried, FULL, ratings=ratings, log=context.log.info)
    failures = [sentence for record in records for sentence in record.failures]
    if failures and settings.preflight == "required":
        raise failed(failures)
    sentences = [f"{sentence} (TEAMS_PREFLIGHT=warn: it went on all the same)" for sentence in failures]
    sentences += [sentence for record in records for sentence in record.warnings]
    for sentence in sentences:
        context.log.warning(sentence)
    return sentences


def judge_faults(models: LanguageModels) -> list[str]:
    """Why the judge may not drop a pair: what failed of its preflight, whatever `TEAMS_PREFLIGHT` makes of it."""
    data_dir, served = models.settings().data_dir, _identities(models, [Role.JUDGE])
    return [
        sentence
        for role, identity in served.items()
        for sentence in gate_failures(data_dir, record_key(role, identity), ratings_key())
    ]


def failed(failures: Sequence[str]) -> dg.Failure:
    """What stops a step, not to be tried again."""
    return dg.Failure(
        f"preflight: {'; '.join(failures)}. Nothing was trained or bought. TEAMS_PREFLIGHT=warn goes on all the same",
        allow_retries=False,
    )


def try_roles(
    models: LanguageModels,
    run_id: str,
    roles: Collection[Role],
    size: Size,
    *,
    ratings: bool,
    log: Callable[[str], None],
) -> list[RoleRecord]:
    """Try roles that language models serve, one after another, and keep what was found out.

    A role that was tried alike already is not tried again. The queries count in the project's budget and in one of
    their own. Raises dagster.Failure, as `LanguageModels.asking` does.
    """
    models.found_out(*_served(models, roles))
    data_dir, records = models.settings().data_dir, list[RoleRecord]()

    def keep(record: RoleRecord) -> None:
        with models.ledger.open() as ledger:
            traits = traits_of(ledger.engine, _identities(models, [record.role])[record.role])
        records.append(record.model_copy(update={"traits": traits}))
        write_record(data_dir, records[-1])
        log(role_line(records[-1]))

    with locked(data_dir / FOLDER / ".lock", waiting=lambda: log("waits while another process tries the roles")):
        records += [r for r in _recorded(models, roles, size) if r.answers(_ratings_key(r.role, ratings))]
        for record in records:
            log(f"{role_line(record)}; as tried before")
        tried = {record.role for record in records}
        plans = plans_of(models, [role for role in roles if role not in tried], size, ratings=ratings)
        if plans:
            loop.run(_try_each(models, run_id, plans, keep, log))
    return [record.with_ratings() for record in records] if ratings else records


def _ratings_key(role: Role, ratings: bool) -> str | None:
    return ratings_key() if ratings and role is Role.JUDGE else None


def plans_of(models: LanguageModels, roles: Collection[Role], size: Size, *, ratings: bool) -> list[Planned]:
    """What would be asked of those of `roles` that language models serve."""
    settings, identities = models.settings(), _identities(models, roles)
    if not identities:
        return []
    path, evaluation_texts = seed_sources(settings.seeds, settings.evaluation_sets)
    texts = [seed.instruction for seed in project_seeds(path, evaluation_texts).seeds]
    return [planned(role, who, texts, size, ratings=ratings) for role, who in identities.items()]


async def _try_each(
    models: LanguageModels,
    run_id: str,
    plans: Sequence[Planned],
    keep: Callable[[RoleRecord], None],
    log: Callable[[str], None],
) -> None:
    """One role after another: side by side they would slow each other down, and be measured so."""
    settings = models.settings()
    prices, most = load_prices(settings.prices), settings.max_in_flight
    asked = {plan.role for plan in plans}
    if asked.intersection(REWRITERS):
        asked.add(Role.REVIEWER)
    bound = Limit(run_scope(run_id, PREFLIGHT), Budget(queries=most_queries(plans)))
    expected = [kind for plan in plans for kind in plan.forecasts()]
    async with models.asking(
        CallContext(run_id, PREFLIGHT), *asked, expected=expected, log=log, named=[bound]
    ) as engine:
        for plan in plans:
            keep(await try_role(engine, plan, most=most, priced=_priced(prices, engine.identity(plan.role))))


def _priced(prices: PriceTable, identity: ModelIdentity) -> bool:
    return prices.cost(identity, Usage(1, 0, 1, 0, 0)) is not None


def _served(models: LanguageModels, roles: Collection[Role]) -> list[Role]:
    """Those of `roles` that language models serve."""
    settings = models.settings()
    return [role for role in roles if settings.role(role).provider != RULES]


def _identities(models: LanguageModels, roles: Collection[Role]) -> dict[Role, ModelIdentity]:
    """The models that serve those of `roles` that language models serve."""
    return models.identities(*_served(models, roles))


def _deciding(models: LanguageModels, roles: Collection[Role], *, ratings: bool) -> dict[Role, RoleRecord | None]:
    """By role that a language model serves, the record that decides; None where it has to be tried."""
    data_dir = models.settings().data_dir
    return {
        role: usable_record(data_dir, role, record_key(role, who), _ratings_key(role, ratings))
        for role, who in _identities(models, roles).items()
    }


def tried_first(models: LanguageModels, roles: Collection[Role], *, ratings: bool) -> list[Planned]:
    """What a run that asks `roles` would ask before anything else, to try those that were not tried yet.

    With `ratings` it has the judge rate pairs.
    """
    if models.settings().preflight == "off":
        return []
    untried = [role for role, record in _deciding(models, roles, ratings=ratings).items() if record is None]
    return plans_of(models, untried, FULL, ratings=ratings)


def _recorded(models: LanguageModels, roles: Collection[Role], size: Size) -> list[RoleRecord]:
    """What is on record of a preflight of this size."""
    data_dir, quick = models.settings().data_dir, size != FULL
    found = [
        read_record(data_dir, role, record_key(role, who), quick=quick)
        for role, who in _identities(models, roles).items()
    ]
    return [record for record in found if record is not None]


def records_of(models: LanguageModels, *, quick: bool) -> list[RoleRecord]:
    """What is on record of the configured roles' preflight."""
    return _recorded(models, models.settings().configured, QUICK if quick else FULL)


def tried_episodes(models: LanguageModels, rewriter: Role) -> EpisodeStats | None:
    """What the preflight of `rewriter` says of the episodes to come; None where it was not tried."""
    identity = models.identities(rewriter)[rewriter]
    return episode_stats(usable_record(models.settings().data_dir, rewriter, record_key(rewriter, identity)))


class PreflightConfig(dg.Config):
    """How much is asked."""

    quick: bool = Field(default=False, description="A hundred queries instead of up to 600: wider intervals.")
    ratings: bool = Field(
        default=False,
        description="Try the judge's ratings of pairs too, as a run with `scored_by: judge` needs them: 120 queries"
        " more, 32 with `quick`.",
    )


@dg.op(
    name="try_roles",
    description="Try every role that the environment configures, before money is spent on them.",
    pool=LANGUAGE_MODELS,
)
def try_configured_roles(context: dg.OpExecutionContext, config: PreflightConfig, models: LanguageModels) -> None:
    """Raises dagster.Failure where a role does not pass."""
    roles = models.settings().configured
    if not _served(models, roles):
        context.log.info("every role is served by the embedded rules: nothing to try")
        return
    size = QUICK if config.quick else FULL
    records = try_roles(models, context.run_id, roles, size, ratings=config.ratings, log=context.log.info)
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
