"""What a step will ask and what that may cost, said before its first query: a likely figure and a range.

How many queries there will be is the caller's to say (`QueryForecast`). What one takes comes from the ledger:

- learnt, from the `RECENT` latest answers of the same model to queries of the same purpose. The likely figure is n
  times their mean; least and most are the 95% prediction interval of the sum of n further answers,
  mean x n -+ 1.96 sd sqrt(ALIKE (n + n^2 / k)) with k answers learnt from. ALIKE allows for answers that come in chains
  of up to six about one seed: at worst all alike;
- not learnt yet: a prompt of b bytes has b / 6 to b / 2 tokens, likely b / 4 (English prose is at 4 to 5 bytes a
  token, most other scripts and code nearer to 2); a completion has its purpose's usual share of `max_tokens`
  (`USUAL_SHARE`, a stated guess), at least a quarter of that and at most `max_tokens`. Where other models have given
  `ENOUGH` answers, their means are the likely figures if they lie within this range: models differ too much in how
  long they answer for another's spread to bound what this one takes.

The ranges of several kinds of queries are added end to end, as if all erred to the same side. Not in them: answers
that turn out to be on the ledger already (they cost nothing), beyond the share of queries that is known to repeat
others of the same step; and attempts that fail and are made again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from teams_dagster.core.protocol import ModelIdentity, Purpose, Role, Usage
from teams_dagster.core.text import about_dollars, short_count
from teams_dagster.ledger.schema import attempts, results
from teams_dagster.ledger.writer import Ledger
from teams_dagster.pricing.prices import PriceTable

RECENT = 1_000
"""Answers that are learnt from: the latest of their kind."""

ENOUGH = 20
"""With fewer answers than this, nothing is learnt."""

ALIKE = 6
"""Answers about one seed that may all be alike: the longest chain."""

USUAL_SHARE = {
    Purpose.REWRITE: 1 / 16,
    Purpose.REVIEW: 1 / 4,
    Purpose.RESPOND: 1 / 4,
    Purpose.GUIDE: 1 / 4,
    Purpose.JUDGE: 1 / 4,
    Purpose.RATE: 1 / 4,
}
"""Of `max_tokens`, what a completion takes where nothing is learnt yet."""

_BYTES_PER_TOKEN = (6, 4, 2)
_Z = 1.96
_WITHOUT_TOKENS = "offline"
"""The provider whose rules have no tokens."""


@dataclass(frozen=True)
class QueryForecast:
    """Queries of one kind that a step will ask."""

    role: Role
    purpose: Purpose
    least: int
    likely: int
    most: int
    prompt_bytes: int
    """Mean size of such a prompt in UTF-8, for where nothing is learnt yet."""
    max_tokens: int
    repeated: float = 0.0
    """The share of them that is likely to repeat another in the same words, and so costs nothing."""

    def times(self, number: int) -> QueryForecast:
        """So many such queries for each."""
        return replace(self, least=number * self.least, likely=number * self.likely, most=number * self.most)

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.likely <= self.most:
            raise ValueError(f"{self.least} to {self.most} queries with {self.likely} likely is no range")


@dataclass(frozen=True)
class Range:
    """A figure that is not known yet."""

    least: int = 0
    likely: int = 0
    most: int = 0

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.likely + other.likely, self.most + other.most)


@dataclass(frozen=True)
class Estimate:
    """What a step, or several, will ask and take."""

    queries: Range
    """Queries asked."""
    sent: Range
    """Those that are sent, and count for a budget: the likely repeats of others are not."""
    tokens: Range
    nano_usd: Range | None
    """None when a model that would be asked has no known price."""
    unpriced: tuple[str, ...] = ()
    """Those models."""
    learnt_from: int = 0
    """Answers of the models that would be asked, from which their tokens are learnt."""
    learnt_elsewhere: int = 0
    """Answers of other models: they make likely figures, not ranges."""

    @property
    def source(self) -> str:
        """Where the tokens come from; empty where nothing was learnt."""
        parts = [f"from {self.learnt_from:,} answers"] * bool(self.learnt_from)
        parts += ["from other models"] * bool(self.learnt_elsewhere)
        return f"learnt {' and '.join(parts)}" if parts else ""

    def __add__(self, other: Estimate) -> Estimate:
        """Both together. Where the same answers taught both, they are counted twice."""
        unpriced = tuple(dict.fromkeys((*self.unpriced, *other.unpriced)))
        nano_usd = None if self.nano_usd is None or other.nano_usd is None else self.nano_usd + other.nano_usd
        return Estimate(
            self.queries + other.queries,
            self.sent + other.sent,
            self.tokens + other.tokens,
            nano_usd,
            unpriced,
            self.learnt_from + other.learnt_from,
            self.learnt_elsewhere + other.learnt_elsewhere,
        )

    def __str__(self) -> str:
        """One line for a log."""
        if self.queries.most == 0:
            return "estimate: nothing to ask"
        parts = [spread(self.queries, "{:,}".format, " query" if self.queries.most == 1 else " queries")]
        if self.tokens.most:
            parts.append(spread(self.tokens, short_count, " tokens"))
        if self.nano_usd is None:
            parts.append(f"dollars unknown: no price is known for {', '.join(self.unpriced)}")
        else:
            parts.append(spread(self.nano_usd, about_dollars))
        line = f"estimate: {', '.join(parts)}"
        if not self.tokens.most:
            return line
        return f"{line}; {self.source or 'nothing learnt yet'}"


def estimate(
    ledger: Ledger | None,
    expected: Sequence[QueryForecast],
    identities: Mapping[Role, ModelIdentity],
    prices: PriceTable,
    *,
    batched: Collection[Role] = (),
) -> Estimate:
    """What the queries `expected` will take, asked of the models `identities`.

    `ledger` is None where there is none yet; `batched` are the roles that are asked through a provider's batches.
    """
    queries, sent, tokens, nano_usd = Range(), Range(), Range(), Range()
    unpriced: dict[str, None] = {}
    learnt: dict[tuple[ModelIdentity, Purpose], _Learnt] = {}
    for kind in expected:
        if kind.most == 0:
            continue
        identity = identities[kind.role]
        queries += Range(kind.least, kind.likely, kind.most)
        sent += _of_all(kind, (1, 1, 1), learnt=False)
        if (identity, kind.purpose) not in learnt:
            learnt[identity, kind.purpose] = _learnt(ledger, identity, kind.purpose)
        seen = learnt[identity, kind.purpose]
        usages = seen.own or _guessed(identity, kind, seen.others)
        tokens += _of_all(kind, [_tokens(usage) for usage in usages], learnt=bool(seen.own))
        costs = [prices.cost(identity, usage, batch=kind.role in batched) for usage in usages]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            unpriced[str(identity)] = None
        else:
            nano_usd += _of_all(kind, known, learnt=bool(seen.own))
    return Estimate(
        queries,
        sent,
        tokens,
        None if unpriced else nano_usd,
        tuple(unpriced),
        sum(len(seen.own) for seen in learnt.values()),
        sum(len(seen.others) for seen in learnt.values()),
    )


@dataclass(frozen=True)
class _Learnt:
    """What the latest answers to such queries took: the model's own, or where these are too few, other models'."""

    own: tuple[Usage, ...] = ()
    others: tuple[Usage, ...] = ()


def _learnt(ledger: Ledger | None, identity: ModelIdentity, purpose: Purpose) -> _Learnt:
    if ledger is None or identity.provider == _WITHOUT_TOKENS:
        return _Learnt()
    own = (attempts.c.provider == identity.provider, attempts.c.model == identity.model)
    others = (attempts.c.provider != _WITHOUT_TOKENS, sa.not_(sa.and_(*own)))
    with ledger.engine.connect() as connection:
        found, elsewhere = (
            tuple(Usage(*row) for row in connection.execute(_latest(purpose, who))) for who in (own, others)
        )
    if len(found) >= ENOUGH:
        return _Learnt(own=found)
    return _Learnt(others=elsewhere) if len(elsewhere) >= ENOUGH else _Learnt()


def _latest(purpose: Purpose, who: tuple[sa.ColumnElement[bool], ...]) -> sa.Select[int, int, int, int, int]:
    """The tokens of the latest answers, read backwards: a long ledger is not read through."""
    latest = (
        sa.select(attempts.c.request_id)
        .where(attempts.c.purpose == purpose.value, *who)
        .order_by(attempts.c.seq.desc())
        .limit(RECENT)
        .subquery()
    )
    return (
        sa.select(
            results.c.prompt_tokens,
            sa.func.coalesce(results.c.cached_tokens, 0),
            results.c.completion_tokens,
            sa.func.coalesce(results.c.reasoning_tokens, 0),
            sa.func.coalesce(results.c.cache_write_tokens, 0),
        )
        .select_from(latest.join(results, latest.c.request_id == results.c.request_id))
        .where(results.c.prompt_tokens.is_not(None), results.c.completion_tokens.is_not(None))
    )


def _guessed(identity: ModelIdentity, kind: QueryForecast, others: Sequence[Usage]) -> tuple[Usage, Usage, Usage]:
    """Least, likely and most tokens of one query, from its size; the likely ones by what other models took."""
    if identity.provider == _WITHOUT_TOKENS:
        nothing = Usage(0, 0, 0, 0, 0)
        return nothing, nothing, nothing
    likely = max(1, round(kind.max_tokens * USUAL_SHARE[kind.purpose]))
    completions = [max(1, likely // 4), likely, kind.max_tokens]
    prompts = [math.ceil(kind.prompt_bytes / size) for size in _BYTES_PER_TOKEN]
    if others:
        completions[1] = _likely(completions, [usage.completion_tokens or 0 for usage in others])
        prompts[1] = _likely(prompts, [usage.prompt_tokens or 0 for usage in others])
    least, usual, most = (Usage(p, 0, c, 0, 0) for p, c in zip(prompts, completions, strict=True))
    return least, usual, most


def _likely(guessed: Sequence[int], seen: Sequence[int]) -> int:
    """The mean of what was seen, or the guess where that lies outside of (least, likely, most)."""
    mean = round(statistics.fmean(seen))
    return mean if guessed[0] <= mean <= guessed[2] else guessed[1]


def _tokens(usage: Usage) -> int:
    return (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)


def _of_all(kind: QueryForecast, amounts: Sequence[int], *, learnt: bool) -> Range:
    """What all queries of a kind take, from the amounts of answers learnt from or (least, likely, most) of one."""
    few, usual = kind.least * (1 - kind.repeated), kind.likely * (1 - kind.repeated)
    if not learnt:
        return Range(math.floor(few * amounts[0]), round(usual * amounts[1]), kind.most * amounts[2])
    mean, deviation, known = statistics.fmean(amounts), statistics.stdev(amounts), len(amounts)

    def margin(n: float) -> float:
        return _Z * deviation * math.sqrt(ALIKE * (n + n * n / known))

    return Range(
        max(0, math.floor(few * mean - margin(few))),
        round(usual * mean),
        math.ceil(kind.most * mean + margin(kind.most)),
    )


def spread(figure: Range, show: Callable[[int], str], unit: str = "") -> str:
    """`likely (least to most)`, or the one figure where nothing is open."""
    likely, least, most = show(figure.likely), show(figure.least), show(figure.most)
    return f"{likely}{unit}" if least == most else f"{likely}{unit} ({least} to {most})"
