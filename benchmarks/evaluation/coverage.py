"""How often 95% intervals hold the truth, on synthetic data: of the crossed bootstrap, and of how distinct texts are.

    python benchmarks/evaluation/coverage.py

About three minutes on one core; the draws are fixed, so the tables are the same each time.
"""

from __future__ import annotations

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.policy.comparison.bootstrap import Resamples
from teams_dagster.policy.comparison.distinctness import METRICS, SUBSAMPLES, distinctness
from teams_dagster.policy.comparison.scores import interval

TIMES, EVALUATION, RESAMPLES = 1_000, 60, 600
VARYING = {"trainings vary much": (0.3, 0.1), "seeds vary much": (0.05, 0.5)}
"""Standard deviations between trainings and between evaluation seeds, beside 0.3 of each pair of them."""

SETS = 250
WORDS = np.array([f"word{number}" for number in range(800)])
ODDS = 1 / np.arange(1, len(WORDS) + 1)
ODDS /= ODDS.sum()


def of_trainings(trainings: int, between: float, of_seeds: float) -> float:
    """The share of intervals of a mean that hold it."""
    draw, covered = np.random.default_rng(0), 0
    for trial in range(TIMES):
        values = draw.normal(0, between, (trainings, 1)) + draw.normal(0, of_seeds, (1, EVALUATION))
        values += draw.normal(0, 0.3, (trainings, EVALUATION))
        low, high = interval(Resamples.drawn(trainings, EVALUATION, RESAMPLES, trial).mean(values), 0.95)
        covered += low <= 0 <= high
    return covered / TIMES


def texts(draw: np.random.Generator) -> dict[str, list[Instruction]]:
    """Three texts from each of forty seeds, alike within a seed."""
    found = {}
    for seed in range(40):
        topic = draw.choice(WORDS, 8, p=ODDS)
        drawn = [[*draw.choice(topic, 5), *draw.choice(WORDS, 7, p=ODDS)] for _ in range(3)]
        found[f"seed {seed:02}"] = [Instruction(" ".join(words)) for words in drawn]
    return found


def of_distinctness() -> dict[str, float]:
    """By metric, the share of intervals that hold the mean over all sets of texts."""
    draw = np.random.default_rng(0)
    found = [distinctness({"policy": texts(draw)}, root_seed=number) for number in range(SETS)]
    shares = {}
    for metric in METRICS:
        measures = [each.measure("policy", metric) for each in found]
        there = [measure for measure in measures if measure is not None]
        truth = float(np.mean([measure.mean for measure in there]))
        shares[metric] = float(np.mean([measure.ci_low <= truth <= measure.ci_high for measure in there]))
    return shares


def main() -> None:
    """Print both tables as Markdown."""
    print(f"| trainings | {' | '.join(VARYING)} |\n|---|---|---|")
    for trainings in (1, 2, 3, 4, 5, 10):
        shares = [of_trainings(trainings, *spreads) for spreads in VARYING.values()]
        print(f"| {trainings} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    print(f"\n| metric, by {SUBSAMPLES} half-samples | intervals that hold the truth |\n|---|---|")
    for metric, share in of_distinctness().items():
        print(f"| {metric} | {share:.1%} |")


if __name__ == "__main__":
    main()
