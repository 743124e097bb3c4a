"""What a comparison of policies found: tables, sentences, the page's section. What was not measured is left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from teams_dagster.core.markdown import markdown_table
from teams_dagster.core.operations import Operation
from teams_dagster.core.text import NOT_A_NUMBER, interval, number, percent, signed, words
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.bootstrap import IN_DOLLARS, IN_QUESTIONS
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.dollars import DOLLARS_EACH, NOVELTY_PER_DOLLAR
from teams_dagster.policy.comparison.scores import ALLOWANCE_USED, HEADLINE, HEADLINES, OF_GAP, Score
from teams_dagster.policy.curve import FLAT_VARIANCE, is_flat
from teams_dagster.report.content import PolicyResults
from teams_dagster.report.policies import EXPLAINED, in_order
from teams_dagster.report.policy_sentences import (
    difference_metric,
    few_trainings,
    learnt,
    of_trained,
    simpler_rule,
    training_sentences,
)

SHOWN = (
    HEADLINE,
    "accepted_per_episode",
    ALLOWANCE_USED,
    "accepted_per_query",
    "return",
    "nearest_similarity",
    "vendi_score",
    "length_growth",
    DOLLARS_EACH,
    NOVELTY_PER_DOLLAR,
)
"""Metrics of the table of policies."""

_DIGITS = {"vendi_score": 1, "length_growth": 2, DOLLARS_EACH: 6, NOVELTY_PER_DOLLAR: 1}
"""Decimals of the metrics that are large, or small."""

NEVER = "never"

PAY_OFF = {IN_QUESTIONS: "queries", IN_DOLLARS: "dollars"}
"""Metrics that say after how many samples training has paid for itself, by the unit counted in."""


@dataclass(frozen=True)
class Cell:
    """A figure with its interval, ready to be shown."""

    mean: str
    interval: str
    clear: bool = False
    """Of a difference: the interval is on one side of zero."""

    def __str__(self) -> str:
        """Both on one line."""
        return f"{self.mean} ({self.interval})"


@dataclass(frozen=True)
class Row:
    """A row of a table; None where something was not measured."""

    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class ScoreTable:
    """A table of figures."""

    columns: tuple[str, ...]
    """The names of the figures; the column of the rows' names is not among them."""
    rows: tuple[Row, ...]

    def markdown(self, names: str) -> str:
        """The table for Dagster's UI; `names` is what the rows are."""
        lines = [(words(row.name), *(cell or NOT_A_NUMBER for cell in row.cells)) for row in self.rows]
        return markdown_table((names, *map(words, self.columns)), lines)


def policies_table(scores: Sequence[Score], metrics: Sequence[str] = SHOWN) -> ScoreTable:
    """A row for each policy, a column for each of `metrics` that was measured."""
    names = in_order(score.policy for score in scores)
    return _table(scores, names, metrics, lambda name, metric: (name, metric), _plain)


def differences_table(scores: Sequence[Score], metrics: Sequence[str] = HEADLINES) -> ScoreTable:
    """The trained policy less each other one: a row for each of those, a column for each of `metrics`."""
    others = in_order(others_of((score.metric for score in scores if score.policy == TRAINED), metrics))
    return _table(scores, others, metrics, lambda other, metric: (TRAINED, difference_metric(metric, other)), _signed)


def mix_table(scores: Sequence[Score]) -> ScoreTable:
    """How often the trained policy and uniform choose each operation, side by side."""
    operations = [operation.value for operation in Operation]
    return _table(scores, operations, (TRAINED, UNIFORM), lambda name, policy: (policy, f"share_of_{name}"), _share)


def others_of(found: Iterable[str], metrics: Collection[str]) -> list[str]:
    """The policies that the trained one was compared with in `metrics`, given the metrics that were found."""
    splits = (metric.partition("_minus_") for metric in found)
    return [other for metric, _, other in splits if other and metric in metrics]


def _table(
    scores: Iterable[Score],
    rows: Sequence[str],
    columns: Sequence[str],
    key: Callable[[str, str], tuple[str, str]],
    shown: Callable[[Score], Cell],
) -> ScoreTable:
    """The scores at `key(row, column)`, without rows and columns that have none."""
    found = {(score.policy, score.metric): score for score in scores}
    there = [column for column in columns if any(key(row, column) in found for row in rows)]
    lines = [(row, [found.get(key(row, column)) for column in there]) for row in rows]
    return ScoreTable(
        tuple(there),
        tuple(Row(row, tuple(score and shown(score) for score in line)) for row, line in lines if any(line)),
    )


def _plain(score: Score) -> Cell:
    digits = _DIGITS.get(score.metric, 3)
    return Cell(number(score.mean, digits), interval(score.ci_low, score.ci_high, digits))


def _signed(score: Score) -> Cell:
    return Cell(signed(score.mean), f"{signed(score.ci_low)} to {signed(score.ci_high)}", clear=is_clear(score))


def _share(score: Score) -> Cell:
    return Cell(percent(score.mean), f"{percent(score.ci_low)} to {percent(score.ci_high)}")


def is_clear(difference: Score) -> bool:
    """Whether the interval of a difference is on one side of zero."""
    return difference.ci_low > 0 or difference.ci_high < 0


def gap_shares(scores: Iterable[Score], metrics: Sequence[str] = OF_GAP) -> list[tuple[str, Cell]]:
    """How much of the way from uniform to the free look-ahead the trained policy goes, by metric."""
    found = of_trained(scores)
    shares = [(metric, found.get(f"{metric}_share_of_gap")) for metric in metrics]
    return [(words(metric), _share(score)) for metric, score in shares if score]


def break_even_lines(scores: Iterable[Score]) -> list[str]:
    """After how many generated samples training has paid for itself: in queries, and in dollars where it cost any."""
    found = of_trained(scores)
    return [f"in {unit}: {_pays_off(found[metric])}" for metric, unit in PAY_OFF.items() if metric in found]


def _pays_off(score: Score) -> str:
    mean, low, high = (samples(value) for value in (score.mean, score.ci_low, score.ci_high))
    when = NEVER if mean == NEVER else f"after {mean} accepted edits"
    return when if low == high else f"{when} (95%: {low} to {high})"


def samples(value: float) -> str:
    """A number of samples, which may be infinite."""
    return NEVER if math.isinf(value) else number(value, 0)


def figure(metric: str, value: float) -> str:
    """A figure of any metric: of what may never happen, `never` where it does not."""
    return samples(value) if metric in PAY_OFF else number(value, _DIGITS.get(metric.partition("_minus_")[0], 3))


def raw_table(scores: Iterable[Score]) -> list[tuple[str, str, str, str, int, int]]:
    """Every score: metric, policy, mean, interval, episodes, queries; sorted by metric."""
    return [
        (
            score.metric,
            score.policy,
            figure(score.metric, score.mean),
            f"{figure(score.metric, score.ci_low)} to {figure(score.metric, score.ci_high)}",
            score.episodes,
            score.queries,
        )
        for score in sorted(scores, key=lambda score: score.metric)
    ]


@dataclass(frozen=True)
class PolicySection:
    """Everything of the section that is not a picture."""

    trained: str
    """How the policy was trained, in a few sentences."""
    learnt: str
    """Whether it learnt to read, or an order of operations; empty where nothing was compared."""
    simpler_rule: str
    """Whether a rule without a network does as well; empty where nothing was compared."""
    variances: tuple[tuple[str, str, bool], ...]
    """Of the reward: where, how large, whether it is flat there."""
    flat_below: float
    policies: ScoreTable
    explained: tuple[tuple[str, str], ...]
    """Policies that were compared, and what each is."""
    differences: ScoreTable
    gap: tuple[tuple[str, Cell], ...]
    break_even: tuple[str, ...]
    mix: ScoreTable
    few_trainings: str
    """What intervals of so few trainings cannot say; empty where there were enough."""
    scores: tuple[tuple[str, str, str, str, int, int], ...]
    """Metric, policy, mean, interval, episodes, queries."""


def policy_section(policy: PolicyResults) -> PolicySection:
    """The section's tables and sentences."""
    scores = policy.scores
    names = in_order(score.policy for score in scores)
    return PolicySection(
        trained=training_sentences(policy),
        learnt=learnt(scores),
        simpler_rule=simpler_rule(scores),
        variances=tuple(_variances(policy)),
        flat_below=FLAT_VARIANCE,
        policies=policies_table(scores),
        explained=tuple((name, EXPLAINED[name]) for name in names if name in EXPLAINED),
        differences=differences_table(scores),
        gap=tuple(gap_shares(scores)),
        break_even=tuple(break_even_lines(scores)),
        mix=mix_table(scores),
        few_trainings=few_trainings(scores),
        scores=tuple(raw_table(scores)),
    )


def _variances(policy: PolicyResults) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, float]] = []
    if policy.curve:
        found += [
            ("in the first batch of the training", policy.curve[0].reward_variance),
            ("in its last batch", policy.curve[-1].reward_variance),
        ]
    if policy.uniform_variance is not None:
        found.append(("under uniform on held-out seeds", policy.uniform_variance))
    return [(where, number(variance, 4), is_flat(variance)) for where, variance in found]
