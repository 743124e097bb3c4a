"""How often and how far the order of the two texts decides a verdict, over the edits of episodes in both orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from teams_dagster.environment.state import Episode, Transition
from teams_dagster.evaluation.statistics import Estimate, clustered_ratio, normal_interval
from teams_dagster.instructions.review import Verdict


@dataclass(frozen=True)
class PositionBias:
    """Of a reviewer. Each pair of texts counts once; errors are clustered by seed."""

    pairs: int
    """Those that have a probability in both orders."""
    left_out: int
    """Those without a verdict, or without a probability, in one of them."""
    turned: Estimate
    """Share of the pairs with another verdict the other way round."""
    in_order: Estimate
    """P(Not Equal) in the order of the edit."""
    other: Estimate
    """P(Not Equal) the other way round."""
    difference: Estimate
    """The one less the other."""
    longer_first: Estimate
    """P(Not Equal) with the longer text first less that with the shorter one first."""
    changed: Estimate
    """Share of the pairs whose verdict out of both orders is not that of the order of the edit."""


HEADER = (
    "| Reviewer | Pairs | Another verdict the other way round | P(Not Equal) in the order of the edit"
    " | the other way round | Difference | Longer text first less shorter first | Verdict changed by both orders |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def position_bias(episodes: Sequence[Episode]) -> PositionBias:
    """Of the reviewer that reviewed `episodes` in both orders. Raises ValueError where no pair can be compared."""
    pairs = {step.review_request_id: step for episode in episodes for step in episode.transitions if step.verdict}
    read = [step for step in pairs.values() if step.orders_agree is not None and step.order_difference is not None]
    if not read:
        raise ValueError(
            f"no pair has a probability in both orders, of {len(pairs)} that were reviewed: position bias is measured"
            " with a reviewer that gives probabilities"
        )

    def mean(value: Callable[[Transition], float], of: Sequence[Transition] = read) -> Estimate:
        return clustered_ratio([value(step) for step in of], [1.0] * len(of), [step.key.seed_id for step in of])

    return PositionBias(
        pairs=len(read),
        left_out=len(pairs) - len(read),
        turned=mean(lambda step: not step.orders_agree),
        in_order=mean(lambda step: _mean(step) + _difference(step) / 2),
        other=mean(lambda step: _mean(step) - _difference(step) / 2),
        difference=mean(_difference),
        longer_first=mean(_longer_first, [step for step in read if _growth(step)]),
        changed=mean(_changed),
    )


def row(name: str, bias: PositionBias) -> str:
    """A line of the table that `HEADER` begins."""
    cells = (
        _share(bias.turned),
        _plain(bias.in_order),
        _plain(bias.other),
        _signed(bias.difference),
        _signed(bias.longer_first),
        _share(bias.changed),
    )
    pairs = f"{bias.pairs}, {bias.left_out} more left out" if bias.left_out else f"{bias.pairs}"
    return f"| {name} | {pairs} | {' | '.join(cells)} |"


def _mean(step: Transition) -> float:
    assert step.verdict_probability is not None, "a difference has a mean"
    return step.verdict_probability


def _difference(step: Transition) -> float:
    assert step.order_difference is not None, "only pairs with a difference are read"
    return step.order_difference


def _growth(step: Transition) -> int:
    """How many characters the edit has more than its parent."""
    assert step.after is not None, "only edits are reviewed"
    return len(step.after.text) + len(step.after.input) - len(step.before.text) - len(step.before.input)


def _longer_first(step: Transition) -> float:
    return -_difference(step) if _growth(step) > 0 else _difference(step)


def _changed(step: Transition) -> bool:
    """Where the orders disagree, the one with the larger P(Not Equal) said Not Equal."""
    return not step.orders_agree and (_difference(step) > 0) is not (step.verdict is Verdict.NOT_EQUAL)


def _share(found: Estimate) -> str:
    return f"{found.value:.1%}{_within(found, '.1%', 0.0)}"


def _plain(found: Estimate) -> str:
    return f"{found.value:.3f}{_within(found, '.3f', 0.0)}"


def _signed(found: Estimate) -> str:
    return f"{found.value:+.3f}{_within(found, '+.3f', -1.0)}"


def _within(found: Estimate, form: str, least: float) -> str:
    low, high = normal_interval(found.value, found.stderr)
    if low is None or high is None:
        return ""
    return f" ({max(low, least):{form}} to {min(high, 1.0):{form}})"
