"""The page of the reviewers' benchmark: a row for each reviewer and split, and whether the goal was reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from teams_dagster.policy.comparison.scores import HEADLINE

OVER_UNIFORM = f"{HEADLINE}_over_uniform"

GOAL = 1.3
"""Trained over uniform, distinct accepted edits per query."""

GOAL_SPLITS = 0.8
"""The share of splits on which it is wanted."""


@dataclass(frozen=True)
class Sizes:
    """How much is trained and played."""

    splits: int = 5
    trainings: int = 3
    iterations: int = 26
    queries_per_seed: int = 24

    @property
    def name(self) -> str:
        """Tells sizes apart."""
        return f"{self.splits}-{self.trainings}-{self.iterations}-{self.queries_per_seed}"


@dataclass(frozen=True)
class Figure:
    """A metric of a policy with its 95% interval."""

    policy: str
    metric: str
    mean: float
    ci_low: float
    ci_high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.ci_low:.2f} to {self.ci_high:.2f})"


@dataclass(frozen=True)
class Row:
    """One reviewer on one split."""

    reviewer: str
    split: int
    training_seeds: int
    held_out_seeds: int
    figures: tuple[Figure, ...]
    flat_reward: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Row:
        """The row that `asdict` made `values` of."""
        return cls(**{**values, "figures": tuple(Figure(**figure) for figure in values["figures"])})

    def figure(self, policy: str, metric: str) -> Figure:
        """Raises KeyError where it was not measured."""
        for figure in self.figures:
            if (figure.policy, figure.metric) == (policy, metric):
                return figure
        raise KeyError(f"no {metric} of {policy}")

    @property
    def gained(self) -> bool:
        """Whether the ratio is at least the goal, and its interval clear of 1."""
        ratio = self.figure("trained", OVER_UNIFORM)
        return ratio.mean >= GOAL and ratio.ci_low > 1.0


@dataclass(frozen=True)
class Circumstances:
    """What a reader needs to know to take the figures again."""

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]


def page(rows: Sequence[Row], sizes: Sizes, circumstances: Circumstances) -> str:
    """The whole page."""
    parts = [_head(sizes, circumstances), "\n".join(_table(rows)), "\n".join(_goal(rows))]
    return "\n\n".join(parts) + "\n"


def _head(sizes: Sizes, c: Circumstances) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in c.machine.items())
    versions = ", ".join(f"{name} {number}" for name, number in c.versions.items())
    return (
        "# The trained policy over uniform, by reviewer\n\n"
        f"Made by `python -m benchmarks.policy.reviewers` on {c.date}.\n\n{machine}\n"
        f"- versions: {versions}\n\n"
        f"The shipped seeds, divided {sizes.splits} times, each by another hash (split 0 is the product's), near"
        f" duplicates on one side. For each split and reviewer {sizes.trainings} trainings (TRPO, graded reward, root"
        f" seeds 0 to {sizes.trainings - 1}) of {sizes.iterations} iterations of 32 episodes, at most"
        f" {sizes.iterations * 32 * 12:,} queries each; then trained and uniform play the held-out seeds with"
        f" {sizes.queries_per_seed} queries from each. The instructor is the embedded rules throughout. In brackets 95%"
        " intervals: a bootstrap over held-out seeds and trainings, widened for so few trainings."
    )


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "| reviewer | split | seeds, training and held out | trained, distinct accepted per query | uniform"
        " | trained over uniform | the same, accepted per episode | allowance used |"
    )
    yield "|---" * 8 + "|"
    for row in sorted(rows, key=lambda row: (row.reviewer, row.split)):
        cells = [
            row.reviewer,
            f"{row.split}",
            f"{row.training_seeds}, {row.held_out_seeds}",
            _fine(row.figure("trained", HEADLINE)),
            _fine(row.figure("uniform", HEADLINE)),
            f"{row.figure('trained', OVER_UNIFORM)}",
            f"{row.figure('trained', 'accepted_per_episode_over_uniform')}",
            f"{row.figure('trained', 'allowance_used').mean:.0%}",
        ]
        yield f"| {' | '.join(cells)} |"


def _goal(rows: Sequence[Row]) -> Iterator[str]:
    yield f"Wanted: at least {GOAL:g} in distinct accepted edits per query, the interval clear of 1, on 4 of 5 splits."
    yield ""
    for name in dict.fromkeys(row.reviewer for row in rows):
        of_it = [row for row in rows if row.reviewer == name]
        gained, clear = sum(row.gained for row in of_it), sum(_clear(row) for row in of_it)
        reached = "reached" if gained >= GOAL_SPLITS * len(of_it) else "**not reached**"
        yield (f"- {name}: {reached}. At least {GOAL:g} on {gained} of {len(of_it)} splits; clear of 1 on {clear}.")


def _clear(row: Row) -> bool:
    return row.figure("trained", OVER_UNIFORM).ci_low > 1.0


def _fine(figure: Figure) -> str:
    return f"{figure.mean:.3f} ({figure.ci_low:.3f} to {figure.ci_high:.3f})"
