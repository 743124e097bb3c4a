"""What the edits of compared policies would cost in a generation: their tokens at the expert's and reviewer's prices.

The comparison itself asks the instructor, who is cheaper; what a policy saves, it saves where the expert is paid. A
policy that asks in order to choose is left out, since what its choosing would cost there is not known, and so is one
of whose answers some came without their tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from teams_dagster.core.text import NANO
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Transition
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.bootstrap import Resamples
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.playing import Results, SeedPlay
from teams_dagster.policy.comparison.scores import Measured
from teams_dagster.pricing.generation_prices import GenerationPrices

DOLLARS_EACH = "dollars_per_distinct_accepted"
"""Less is better. A text reached again from its seed counts once, and is paid each time."""

NOVELTY_PER_DOLLAR = "novelty_per_dollar"
"""More is better: the sum of min(1, d / d0) over accepted edits, each as preset `graded` counts it, per dollar."""


@dataclass(frozen=True)
class Spent:
    """Of one policy, arrays of shape (trainings, seeds)."""

    nano_usd: np.ndarray
    novelty: np.ndarray


@dataclass
class Spending:
    """Counts the dollars of the compared policies."""

    prices: GenerationPrices | None
    """None where they are not known, or nothing costs anything: then nothing is counted."""
    saturation: float = RewardConfig().saturation
    """d0 of the reward."""
    _rows: dict[str, list[list[tuple[float, float] | None]]] = field(
        default_factory=dict[str, list[list[tuple[float, float] | None]]]
    )

    def keep(self, name: str, by_seed: Mapping[str, SeedPlay]) -> None:
        """Count what the policy `name` did under one of its training seeds."""
        if self.prices is not None:
            plays = [self._of_seed(self.prices, list(play.within())) for _, play in sorted(by_seed.items())]
            self._rows.setdefault(name, []).append(plays)

    def spent(self) -> dict[str, Spent]:
        """By policy, of those whose every cost is known."""
        known = {name: rows for name, rows in self._rows.items() if not any(None in row for row in rows)}
        arrays = {name: np.array(rows, dtype=np.float64) for name, rows in known.items()}
        return {name: Spent(array[..., 0], array[..., 1]) for name, array in arrays.items()}

    def _of_seed(self, prices: GenerationPrices, transitions: list[Transition]) -> tuple[float, float] | None:
        nano_usd = novelty = 0.0
        for transition in transitions:
            cost = prices.cost(transition.rewrite_usage, transition.review_usages)
            if cost is None or transition.guidance_queries:
                return None
            nano_usd += cost
            novelty += min(1.0, (transition.novelty or 0.0) / self.saturation) if transition.accepted else 0.0
        return nano_usd, novelty


def dollar_measures(
    results: Mapping[str, Results], spent: Mapping[str, Spent], resamples: Resamples
) -> Iterator[Measured]:
    """Both metrics of every policy, their differences from uniform, and those of the trained policy from the others."""
    figures = {name: _figures(results[name], found, resamples) for name, found in spent.items()}
    for name, found in figures.items():
        yield from (Measured(name, metric, values) for metric, values in found.items())
    for name, other in [(n, UNIFORM) for n in figures] + [(TRAINED, n) for n in figures if n != UNIFORM]:
        if name != other and name in figures and other in figures:
            for metric, values in figures[name].items():
                yield Measured(name, f"{metric}_minus_{other}", values - figures[other][metric])


def _figures(results: Results, spent: Spent, resamples: Resamples) -> dict[str, np.ndarray]:
    """Without a distinct edit, or a dollar, in some resample there is no such figure."""
    dollars, distinct = resamples.total(spent.nano_usd) / NANO, resamples.total(results.distinct)
    if not ((dollars > 0).all() and (distinct > 0).all()):
        return {}
    return {DOLLARS_EACH: dollars / distinct, NOVELTY_PER_DOLLAR: resamples.total(spent.novelty) / dollars}
