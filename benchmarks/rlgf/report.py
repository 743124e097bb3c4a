"""The page of the token-level benchmark.

`python -m benchmarks.rlgf.report ROWS...` prints the pages of trainings that several runs wrote: one for each settings.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy import stats

from teams_dagster.rlgf.report import Metrics

METRICS = ("reward", "perplexity", "distinct_1", "distinct_2", "length", "kl")


@dataclass(frozen=True)
class Outcome:
    """One training."""

    algorithm: str
    seed: int
    updates: int
    learner_tokens: int
    guide_tokens: int
    before: Metrics
    after: Metrics
    curve: tuple[tuple[int, float], ...]
    """Tokens written by then and the reward after them, an evaluation each; the first is before any training."""


def pages(rows: Iterable[str]) -> list[str]:
    """A page for each settings among `rows`, lines of JSON as the benchmark writes them, in their order."""
    by_settings: dict[str, list[Outcome]] = {}
    for line in rows:
        said = json.loads(line)
        taken = {field.name: said.pop(field.name) for field in fields(Outcome)}
        measured = {when: Metrics(**taken[when]) for when in ("before", "after")}
        curve = tuple((tokens, reward) for tokens, reward in taken["curve"])
        by_settings.setdefault(json.dumps(said), []).append(Outcome(**{**taken, **measured, "curve": curve}))
    return [page(outcomes, json.loads(settings)) for settings, outcomes in by_settings.items()]


def page(outcomes: Sequence[Outcome], settings: Mapping[str, Any]) -> str:
    """The results in Markdown."""
    names = list(dict.fromkeys(outcome.algorithm for outcome in outcomes))
    metrics = (*METRICS, *outcomes[0].after.task)
    lines = [
        "# RLGF, token by token",
        "",
        "Made by `python -m benchmarks.rlgf.run` with " + ", ".join(f"{k} {v}" for k, v in settings.items()) + ".",
        "Means over trainings with different seeds, with 95% t intervals where there are several; the first row is the",
        "model before any training, over the same draws.",
        "",
        "| algorithm | seeds | updates | tokens | of the guide | " + " | ".join(metrics) + " |",
        "| --- " * (5 + len(metrics)) + "|",
        _row("before", list({outcome.seed: outcome for outcome in reversed(outcomes)}.values()), "before", metrics),
        *(_row(name, [o for o in outcomes if o.algorithm == name], "after", metrics) for name in names),
        "",
        *(_difference(names[0], name, outcomes) for name in names[1:]),
        *_curves(outcomes),
    ]
    return "\n".join(lines) + "\n"


def _curves(outcomes: Sequence[Outcome]) -> list[str]:
    """The reward of each training by the tokens written until then."""
    return [
        "## Curves",
        "",
        "| algorithm | seed | reward after so many tokens |",
        "| --- | --- | --- |",
        *(
            f"| {outcome.algorithm} | {outcome.seed} | "
            + ", ".join(f"{tokens:,}: {reward:.3f}" for tokens, reward in outcome.curve)
            + " |"
            for outcome in outcomes
        ),
    ]


def _row(name: str, outcomes: Sequence[Outcome], when: str, metrics: Sequence[str]) -> str:
    trained = when == "after"
    measured = [getattr(outcome, when) for outcome in outcomes]
    values = [with_interval([_value(found, metric) for found in measured]) for metric in metrics]
    seeds = len({outcome.seed for outcome in outcomes})
    spent = [
        f"{mean(number(outcome) for outcome in outcomes):.0f}" if trained else "0"
        for number in (
            lambda outcome: outcome.updates,
            lambda outcome: outcome.learner_tokens + outcome.guide_tokens,
            lambda outcome: outcome.guide_tokens,
        )
    ]
    return "| " + " | ".join([name, str(seeds), *spent, *values]) + " |"


def _value(measured: Metrics, metric: str) -> float:
    return float(measured.task[metric] if metric in measured.task else getattr(measured, metric))


def _difference(first: str, other: str, outcomes: Sequence[Outcome]) -> str:
    rewards = {(outcome.algorithm, outcome.seed): outcome.after.reward for outcome in outcomes}
    seeds = [seed for name, seed in rewards if name == other and (first, seed) in rewards]
    gaps = [rewards[other, seed] - rewards[first, seed] for seed in seeds]
    told = with_interval(gaps) if gaps else "no seed in common"
    return f"Reward of {other} less that of {first}, seed by seed: {told}.\n"


def with_interval(values: Sequence[float]) -> str:
    """The mean, with its 95% t interval where there are several."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return f"{mean(values):.3f} ± {half:.3f}"


if __name__ == "__main__":
    lines = [line for file in sys.argv[1:] for line in Path(file).read_text(encoding="utf-8").splitlines()]
    print("\n".join(pages(lines)))
