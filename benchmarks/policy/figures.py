"""From rows to the figures of the page. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.llm.figures import Spread, spread
from benchmarks.policy.growth import GrowthFigures
from benchmarks.policy.rollouts import BatchFigures, RolloutFigures
from benchmarks.policy.scenarios import Row, UpdateScenario

SLEEP_S = 2.0
"""What the published code sleeps before each query; it asks one at a time."""

QUERIES = 2
"""Of a transition: a rewrite, then its review."""


def slots(figures: RolloutFigures) -> int:
    """Calls that can be under way at once: what is allowed, and no more than there are episodes."""
    return min(figures.parallel, figures.batches[0].episodes)


def ideal_rate(figures: RolloutFigures) -> float:
    """Transitions a second when every slot always holds a call."""
    return slots(figures) / (QUERIES * mean_latency_s(figures))


def published_rate(mean_latency_s: float) -> float:
    """Transitions a second of the published code."""
    return 1 / (QUERIES * (SLEEP_S + mean_latency_s))


def lockstep_rate(figures: RolloutFigures) -> float:
    """Transitions a second when all calls under way begin together and wait for the slowest of them."""
    return slots(figures) / (QUERIES * max(figures.latencies_s))


def mean_latency_s(figures: RolloutFigures) -> float:
    """Of the calls that were made."""
    return figures.served.latency_s / figures.served.requests


def rates(figures: RolloutFigures) -> Spread:
    """Transitions a second of each batch, from its first question to its last episode."""
    return spread([batch.transitions / batch.rollout_s for batch in figures.batches])


def shares(figures: RolloutFigures) -> Spread:
    """Of the ideal, in each batch: seconds that its calls need in full slots, over seconds that it took.

    By calls, not by transitions: an answer that was reused takes no slot and is no merit here.
    """
    return spread([_share(figures, batch.sent, batch.rollout_s) for batch in figures.batches])


def steady_shares(figures: RolloutFigures) -> Spread:
    """The same for the middle of each batch, where eight tenths of its transitions end."""
    return spread([_share(figures, 0.8 * batch.sent, batch.steady_s) for batch in figures.batches])


def _share(figures: RolloutFigures, calls: float, seconds: float) -> float:
    return calls * mean_latency_s(figures) / slots(figures) / seconds


def cpu_ms_per_call(figures: RolloutFigures) -> float:
    """Processor milliseconds of the training process for each call, updates left out."""
    return 1_000 * sum(b.rollout_cpu_s for b in figures.batches) / sum(b.sent for b in figures.batches)


def later_updates(batches: Sequence[BatchFigures]) -> float | None:
    """Seconds of a batch's update, median, the first one of the process left out; None where there is no other."""
    return statistics.median(batch.update_s for batch in batches[1:]) if len(batches) > 1 else None


def update_of(rows: Sequence[Row], side: str, algorithm: str, transitions: int) -> Row | None:
    """The row of an update, or None."""

    def wanted(update: UpdateScenario) -> bool:
        return (update.side, update.algorithm, update.transitions) == (side, algorithm, transitions)

    return next((row for row in rows if row.update is not None and wanted(row.update)), None)


def seconds(row: Row) -> float:
    """Of an update, median of its repeats."""
    return statistics.median(cost.seconds for cost in row.costs)


def cpu_s(row: Row) -> float:
    """Processor seconds of an update, median of its repeats."""
    return statistics.median(cost.cpu_s for cost in row.costs)


def peak_mb(row: Row) -> float:
    """The most memory of an update's repeats: the first takes what the others find."""
    return max(cost.peak_mb for cost in row.costs)


def exponent(figures: Sequence[GrowthFigures]) -> float:
    """How cost grows with transitions, from the second smallest to the largest: 1 is linear, 2 quadratic.

    The smallest is left out where there are others: it is mostly fixed cost. Raises ValueError for fewer than two.
    """
    if len(figures) < 2:
        raise ValueError("growth needs two sizes")
    ordered = sorted(figures, key=lambda each: each.transitions)
    low, high = ordered[1 if len(ordered) > 2 else 0], ordered[-1]
    return math.log(high.total.cpu_s / low.total.cpu_s) / math.log(high.transitions / low.transitions)
