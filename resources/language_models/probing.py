"""What an endpoint honours, found out once by short queries.

That is how a model there is held to its replies, and whether the endpoint says how likely each was.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import (
    CompletionError,
    ErrorKind,
    Intent,
    LanguageModel,
    LLMClient,
    Message,
    ModelIdentity,
    Outcome,
    Purpose,
    QueryFailed,
    Request,
    Role,
    Sampling,
)
from teams_dagster.core.replies import OFF, STRUCTURED, Choice, Way
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.ledger.costs import existing_ledger
from teams_dagster.ledger.traits import record_trait, traits_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.circuit import advice
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from teams_dagster.role_settings import RoleSettings
from teams_dagster.settings import Settings

LOGPROBS = "logprobs"
"""The trait of an endpoint that says whether it gives log-probabilities: `yes` or `no`."""

WAYS = (Way.JSON_SCHEMA, Way.CHOICE, Way.GRAMMAR)
"""What `auto` tries, in this order."""

PROBED = "endpoint_traits"
"""What these queries are counted for, in the ledger's column `asset_key`: the table that they fill."""

NO_RUN = "none"
"""The run of those that no run asks."""

MOST_QUERIES = 2 * len(WAYS) + 1
"""Of one finding out: each way with log-probabilities and, where that is refused, without; then without any way."""

_UNTOLD = "Explain in one long sentence why the sky is blue."

_SYSTEM = "Answer the user."
"""So that a model without a system role is found out here, and not by all the first queries of a step at once."""

_REPLIES = Choice("reply", ("Yes", "No"))
"""No answer to it: who gives one of these was held to them."""


@dataclass(frozen=True)
class Held:
    """How a model is held to its replies."""

    structured: Way | None = None
    logprobs: bool = False
    """Whether the endpoint is asked how likely each reply was."""

    @property
    def traits(self) -> dict[str, str]:
        """As an endpoint's traits."""
        return {STRUCTURED: self.structured or OFF, LOGPROBS: "yes" if self.logprobs else "no"}


NOT_HELD = Held()


class NotHonoured(Exception):
    """A named way that the endpoint does not honour."""

    def __init__(self, role: Role, named: str, identity: ModelIdentity) -> None:
        super().__init__(
            f"TEAMS_{role.name}_STRUCTURED={named} is refused or ignored by {identity}: name another way, or set it to"
            " `auto` (found out) or `off` (the model is only told what to reply)"
        )


class AllThinking(Exception):
    """A reply that was all thinking: it does not tell what the endpoint honours."""


class NotFoundOut(Exception):
    """An endpoint that does not tell how it holds a model to its replies."""

    def __init__(self, role: Role, identity: ModelIdentity, failure: QueryFailed | AllThinking, limit: int) -> None:
        """`limit` is the tokens that the reply might take."""
        setting = f"TEAMS_{role.name}_"
        if isinstance(failure, AllThinking):
            said = (
                f"gives a reply that was all thinking in {limit:,} tokens: raise {setting}MAX_TOKENS, or let it think"
                f" less with {setting}EXTRA."
            )
        else:
            advised = advice(CompletionError(failure.kind, failure.detail), role)
            said = f"gives {str(failure).rstrip('. ')}.{'' if setting in failure.detail else f' {advised}'}"
        super().__init__(
            f"the {role.value}'s model {identity} {said} Then run the step again."
            f" (Asked was how it can be held to its replies; {setting}STRUCTURED=off leaves that out.)"
        )


def known(role: RoleSettings, traits: Mapping[str, str]) -> Held | None:
    """How a role's model is held, from its settings and its endpoint's traits; None where that is to be found out."""
    if role.provider in ("offline", "embedding") or role.structured == OFF:
        return NOT_HELD
    found = traits.get(STRUCTURED)
    if role.provider == "transformers":
        return NOT_HELD if role.structured == "auto" and found == OFF else Held(Way.LOGPROBS)
    if role.structured == "auto" and found == OFF:
        return NOT_HELD
    named = found if role.structured == "auto" else role.structured
    if named is None or LOGPROBS not in traits:
        return None
    return Held(Way(named), traits[LOGPROBS] == "yes")


def known_ways(settings: Settings, roles: Collection[Role]) -> dict[Role, Held | None]:
    """`known` of each role, by settings and ledger. Raises SettingsError for a role that needs configuring."""
    served = {role: settings.role(role) for role in roles}
    if all(known(named, {}) == NOT_HELD for named in served.values()):
        return dict.fromkeys(roles, NOT_HELD)
    with existing_ledger(settings.ledger_url) as ledger:
        return {
            role: known(named, traits_of(ledger.engine, _place(named)) if ledger else {})
            for role, named in served.items()
        }


async def probe(
    role: Role,
    settings: Settings,
    opened: Callable[[Held], LanguageModel],
    ledger: Ledger,
    where: CallContext,
    budgets: Budgets,
    say: Callable[[str], None],
) -> None:
    """Find out how the model of `role` is held to its replies, and write it down for every process.

    Args:
        opened: Connects to the role's model, held so.
        where: The step that the queries are counted for.
        say: Hears that it begins, of minutes without an answer, and what was found.

    Raises NotHonoured for a named way that the endpoint does not honour, NotFoundOut where it does not answer, and what
    else `Engine.ask` raises.
    """
    named = settings.role(role)

    @asynccontextmanager
    async def client(held: Held) -> AsyncIterator[Engine]:
        model = opened(held)
        engine = Engine({role: model}, ledger, where, load_prices(settings.prices), budgets=budgets, say=say)
        try:
            yield engine
        finally:
            await engine.close()
            await model.close()

    say(f"{_place(named)}: finds out how its replies can be held, by at most {MOST_QUERIES} short queries")
    try:
        found = await find_out(client, role, WAYS if named.structured == "auto" else (Way(named.structured),))
    except (QueryFailed, AllThinking) as failure:
        limit = named.max_tokens or _question(role).sampling.max_tokens
        raise NotFoundOut(role, _place(named), failure, limit) from failure
    if found == NOT_HELD and named.structured != "auto":
        raise NotHonoured(role, named.structured, _place(named))
    for trait, value in found.traits.items():
        if trait != STRUCTURED or named.structured == "auto":
            record_trait(ledger.engine, _place(named), trait, value)
    say(f"{_place(named)}: replies are held by {found.structured or 'nothing: it is only told'}")


def _place(named: RoleSettings) -> ModelIdentity:
    """Whose traits a role's model has."""
    return ModelIdentity(named.provider, named.model, named.base_url.rstrip("/"))


async def find_out(
    ask: Callable[[Held], AbstractAsyncContextManager[LLMClient]], role: Role, ways: Sequence[Way]
) -> Held:
    """The first of `ways` that the endpoint honours; NOT_HELD where it honours none.

    Args:
        ask: Opens a client that holds the role's model so.
        role: Who is asked.

    Raises QueryFailed where the endpoint cannot be asked at all: one that refuses every way is asked without any; and
    AllThinking where a reply got no further than that.
    """
    answered = False
    for way in ways:
        for logprobs in (True, False):
            async with ask(Held(way, logprobs)) as client:
                try:
                    answer = await client.ask(_question(role))
                except QueryFailed as failed:
                    if failed.kind is not ErrorKind.REJECTED:
                        raise
                    continue  # perhaps the log-probabilities alone are refused
            answered = True
            if answer.completion.outcome is Outcome.REASONING_ONLY:
                raise AllThinking
            if answer.completion.outcome is Outcome.USABLE:
                return Held(way, logprobs and bool(answer.completion.tokens or answer.completion.probabilities))
            break
    if not answered:
        async with ask(NOT_HELD) as client:
            await client.ask(_question(role))
    return NOT_HELD


def _question(role: Role) -> Request:
    """It does not tell the replies: who was not held to them does not give one."""
    return Request(
        role,
        Intent(Purpose.PROBE, Instruction(_UNTOLD)),
        (Message("system", _SYSTEM), Message("user", _UNTOLD)),
        content_hash("probe", _SYSTEM, _UNTOLD),
        Sampling(temperature=0.0, top_p=1.0, max_tokens=256),
        allowed=_REPLIES,
    )
