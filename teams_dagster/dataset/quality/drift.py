"""Whether the latest generation differs from the earlier ones by more than chance, and by enough to matter.

The unit is the seed: samples of one seed are rewrites of one another. Of the earlier generations each seed has one
row, its mean, so that a seed that was used every week counts once. Chance is measured by permutation: the rows of
both sides are dealt out again, many times, and a difference is real when next to none of these is as large. With few
seeds chance alone makes large ones, so the test is as careful as the data is small; no shape is assumed. All that is
read of a generation are sums by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq

from teams_dagster.core.operations import Operation
from teams_dagster.core.rng import generator
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.store.transition_row import EDIT_ANSWERS

SEED = "seed_id"


OPERATIONS = tuple(f"chose_{operation.value}" for operation in Operation)


IDS_AT_ONCE = 10_000


Totals = Mapping[str, np.ndarray]
"""Columns of one row a seed, in order of `seed_id`, which is one of them."""


CostOf = Callable[[Collection[str]], Mapping[str, int | None]]
"""Nano-dollars of each request given, None where no price is known; requests that are not known are left out."""


_WORDS = "len(regexp_extract_all({text}, '\\S+'))"


_EDITS = """
    select seed_id, {operations},
        count(*)::double as steps,
        sum(reward) as reward, sum(reward * reward) as reward_squared,
        count(*) filter (operation <> 'none')::double as rewrites,
        count(*) filter (accepted)::double as accepted,
        sum(queries)::double as queries,
        coalesce(sum(words) filter (accepted), 0)::double as words,
        coalesce(sum(words * words) filter (accepted), 0)::double as words_squared
    from read_parquet($transitions)
    left join (select instruction_id, {words} as words from read_parquet($instructions)) using (instruction_id)
    group by seed_id order by seed_id"""


_ANSWERS = """
    select seed_id, samples, kept, words, words_squared, asked + queries as queries
    from (
        select seed_id, count(*)::double as samples, count(*) filter (accepted)::double as kept,
            coalesce(sum(words) filter (accepted), 0)::double as words,
            coalesce(sum(words * words) filter (accepted), 0)::double as words_squared
        from (select seed_id, accepted, {words} as words from read_parquet($samples))
        group by seed_id
    )
    join (
        select samples.seed_id, count(*)::double as asked
        from read_parquet($answers) as answers join read_parquet($samples) as samples using (sample_id)
        group by samples.seed_id
    ) using (seed_id)
    join (select seed_id, sum(queries)::double as queries from read_parquet($transitions) group by seed_id)
    using (seed_id) order by seed_id"""


_REQUESTS = """
    select request_id, seed_id from (
        select seed_id, unnest([{columns}]) as request_id from read_parquet($transitions)
        union all
        select samples.seed_id, answers.respond_request_id
        from read_parquet($answers) as answers join read_parquet($samples) as samples using (sample_id)
    ) where request_id is not null"""


def edit_totals(transitions: Path, instructions: Path) -> Totals:
    """Of each seed's edits: operations chosen, rewards, accepted, queries, words of the accepted texts."""
    chosen = [f"count(*) filter (operation = '{o.value}')::double as chose_{o.value}" for o in Operation]
    statement = _EDITS.format(operations=", ".join(chosen), words=_WORDS.format(text="text"))
    with scratch() as connection:
        return _columns(connection, statement, transitions=transitions, instructions=instructions)


def answer_totals(samples: Path, answers: Path, transitions: Path, cost_of: CostOf) -> Totals:
    """Of each seed's samples: how many, how many kept, the words of their answers, and what the kept ones took.

    `answers` has a row for each answer, every one a query that was paid for: it is `samples` where one was asked for.
    `cost` is NaN for a seed of which a request has no known cost.
    """
    statement = _ANSWERS.format(words=_WORDS.format(text="response"))
    files = {"samples": samples, "answers": answers, "transitions": transitions}
    with scratch() as connection:
        totals = _columns(connection, statement, **files)
        place = {seed_id: at for at, seed_id in enumerate(totals[SEED].tolist())}
        cost = np.zeros(len(place))
        there = set(pq.read_schema(transitions).names)
        asked = _REQUESTS.format(columns=", ".join(name for name in EDIT_ANSWERS if name in there))
        rows = connection.execute(asked, {name: str(file) for name, file in files.items()})
        while batch := rows.fetchmany(IDS_AT_ONCE):
            known = cost_of({request_id for request_id, _ in batch})
            for request_id, seed_id in batch:
                spent = known.get(request_id)
                if seed_id in place:
                    cost[place[seed_id]] += np.nan if spent is None else spent
    return {**totals, "cost": cost}


def _columns(connection: duckdb.DuckDBPyConnection, statement: str, **files: Path) -> Totals:
    found = connection.execute(statement, {name: str(file) for name, file in files.items()}).fetchnumpy()
    return {name: np.asarray(values) for name, values in found.items()}


FEWEST_SEEDS = 20
"""On each side. Below, a permutation has too few ways to deal to find anything but a landslide."""

CHANCE = 0.001
"""Largest share of the deals that may be as large: nine measures looked at every week are wrong once in two years."""

DEALS = 4_999

BLOCKS = 500
"""Rows a side at most: more seeds are summed in blocks, equally many in each, which keeps time and memory bounded."""

MOST_MIX_BITS = 0.02
"""Jensen-Shannon divergence; about ten points of an even mix of seven moved from one operation to another."""

MOST_DEVIATIONS = 0.25
"""Difference of means over the standard deviation: above a quarter, groups are not taken for alike (WWC, 2020)."""

MOST_POINTS = 0.05
"""Difference of two shares."""

MOST_RELATIVE = 0.2
"""A fifth more or less: a budget planned on the earlier generations no longer holds."""

Effect = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From totals of the latest and of the earlier, (..., columns) each, to how far they are apart."""


class TooFewSeeds(ValueError):
    """A side of the comparison with too few seeds."""


@dataclass(frozen=True)
class Measure:
    """Something that may drift."""

    name: str
    columns: tuple[str, ...]
    """The totals that it is made of."""
    effect: Effect
    limit: float
    """The smallest effect that matters."""


@dataclass(frozen=True)
class Drift:
    """How far the latest generation is from the earlier ones in one measure."""

    name: str
    latest: float
    """The mean, share or ratio; of the operation mix, the share of the operation that moved most."""
    earlier: float
    effect: float
    limit: float
    chance: float
    """Share of the deals with an effect at least as large."""
    what: str = ""
    """Which operation moved most."""

    @property
    def drifted(self) -> bool:
        """Whether it is real and large enough to matter."""
        return abs(self.effect) >= self.limit and self.chance <= CHANCE

    def __str__(self) -> str:
        name = f"{self.name} ({self.what})" if self.what else self.name
        return (
            f"{name} {self.latest:.4g}, earlier {self.earlier:.4g} (effect {self.effect:+.3f}, of which"
            f" {self.limit:g} matters; by chance in {self.chance:.2%})"
        )


def mix_divergence(latest: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of two mixes, in bits: 0 for the same, 1 for mixes that share nothing."""
    p, q = (counts / counts.sum(axis=-1, keepdims=True) for counts in (latest, earlier))
    middle = (p + q) / 2
    return (_divergence(p, middle) + _divergence(q, middle)) / 2


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log2(p / q), 0.0).sum(axis=-1)


def standardised_differences(latest: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Difference of means over the pooled standard deviation; columns: count, sum, sum of squares."""
    (m1, v1), (m2, v2) = (_moments(totals) for totals in (latest, earlier))
    return (m1 - m2) / np.sqrt((v1 + v2) / 2)


def _moments(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = totals[..., 1] / totals[..., 0]
    return mean, np.maximum(totals[..., 2] / totals[..., 0] - mean**2, 0)


def share_differences(latest: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Difference of shares; columns: whole, part."""
    return latest[..., 1] / latest[..., 0] - earlier[..., 1] / earlier[..., 0]


def relative_changes(latest: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """How much more (+0.5: half as much again) of the second column there is for each of the first."""
    return (latest[..., 1] / latest[..., 0]) / (earlier[..., 1] / earlier[..., 0]) - 1


EDITS = (
    Measure("operation mix", OPERATIONS, mix_divergence, MOST_MIX_BITS),
    Measure(
        "words of an accepted instruction",
        ("accepted", "words", "words_squared"),
        standardised_differences,
        MOST_DEVIATIONS,
    ),
    Measure("reward of a step", ("steps", "reward", "reward_squared"), standardised_differences, MOST_DEVIATIONS),
    Measure("acceptance of rewrites", ("rewrites", "accepted"), share_differences, MOST_POINTS),
    Measure("queries of an accepted instruction", ("accepted", "queries"), relative_changes, MOST_RELATIVE),
)
"""Of `edit_totals`."""

ANSWERS = (
    Measure("words of a kept answer", ("kept", "words", "words_squared"), standardised_differences, MOST_DEVIATIONS),
    Measure("acceptance of answers", ("samples", "kept"), share_differences, MOST_POINTS),
    Measure("queries of a kept sample", ("kept", "queries"), relative_changes, MOST_RELATIVE),
    Measure("nano-dollars of a kept sample", ("kept", "cost"), relative_changes, MOST_RELATIVE),
)
"""Of `answer_totals`."""


def drifts(latest: Totals, earlier: Sequence[Totals], measures: Sequence[Measure], *key: str) -> list[Drift]:
    """How far the latest generation is from the pooled earlier ones, in every measure that both sides have.

    A measure that is unknown (NaN) or undefined (nothing to divide by) is left out. The deals belong to `key`.
    Raises TooFewSeeds.
    """
    pooled = _pool(earlier)
    sides = (latest, pooled)
    fewest = min(len(side[SEED]) for side in sides)
    if fewest < FEWEST_SEEDS:
        raise TooFewSeeds(
            f"{fewest} seeds on one side are too few to tell drift from chance; {FEWEST_SEEDS} are needed"
        )
    columns = list(dict.fromkeys(column for measure in measures for column in measure.columns))
    size = -(-max(len(side[SEED]) for side in sides) // BLOCKS)
    rows = [_blocks(np.column_stack([side[column] for column in columns]), size) for side in sides]
    dealt = _deal(np.concatenate(rows), len(rows[0]), *key)
    totals = [side.sum(axis=0) for side in rows]
    found: list[Drift] = []
    for measure in measures:
        at = [columns.index(column) for column in measure.columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = float(measure.effect(totals[0][at], totals[1][at]))
            by_chance = measure.effect(dealt[0][:, at], dealt[1][:, at])
        if np.isfinite(effect):
            as_large = np.count_nonzero(np.nan_to_num(np.abs(by_chance)) >= abs(effect) * (1 - 1e-9))
            found.append(_drift(measure, totals[0][at], totals[1][at], effect, (1 + as_large) / (1 + DEALS)))
    return found


def _drift(measure: Measure, latest: np.ndarray, earlier: np.ndarray, effect: float, chance: float) -> Drift:
    if measure.effect is not mix_divergence:
        means = (float(latest[1] / latest[0]), float(earlier[1] / earlier[0]))
        return Drift(measure.name, *means, effect, measure.limit, chance)
    shares = latest / latest.sum(), earlier / earlier.sum()
    moved = int(np.argmax(np.abs(shares[0] - shares[1])))
    name = measure.columns[moved].removeprefix("chose_")
    return Drift(measure.name, float(shares[0][moved]), float(shares[1][moved]), effect, measure.limit, chance, name)


def _pool(earlier: Sequence[Totals]) -> Totals:
    """One row a seed: the mean of its rows in the generations that used it."""
    names = np.concatenate([totals[SEED] for totals in earlier]).astype(str)
    seeds, place, uses = np.unique(names, return_inverse=True, return_counts=True)
    pooled: dict[str, np.ndarray] = {SEED: seeds}
    for column in earlier[0].keys() - {SEED}:
        values = np.concatenate([totals[column] for totals in earlier])
        pooled[column] = np.bincount(place, weights=values, minlength=len(seeds)) / uses
    return pooled


def _blocks(rows: np.ndarray, size: int) -> np.ndarray:
    """Sums of `size` rows in a row: in the order of their hashes, neighbouring seeds have nothing in common."""
    return np.add.reduceat(rows, np.arange(0, len(rows), size), axis=0)


def _deal(rows: np.ndarray, latest: int, *key: str) -> tuple[np.ndarray, np.ndarray]:
    """Totals of both sides when `latest` of the rows, drawn anew each time, are called the latest generation."""
    draw = generator("drift", *key)
    drawn = np.stack([rows[draw.permutation(len(rows))[:latest]].sum(axis=0) for _ in range(DEALS)])
    return drawn, rows.sum(axis=0) - drawn


def changed_inputs(latest: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """What a generation was made with that the one before it was not: where a drift probably comes from."""
    return sorted(name for name in latest.keys() | earlier.keys() if latest.get(name) != earlier.get(name))
