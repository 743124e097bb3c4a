"""The policy's section of the page: what it shows besides its pictures, worked out from the values."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.core.text import money, number
from teams_dagster.policy.tally import FLAT_VARIANCE, is_flat
from teams_dagster.report.content import PolicyResults
from teams_dagster.report.policies import EXPLAINED, algorithm_name, in_order
from teams_dagster.report.policy_scores import (
    Cell,
    ScoreTable,
    differences_table,
    gap_shares,
    mix_table,
    pay_off_lines,
    policies_table,
    raw_table,
    training_seeds,
)


@dataclass(frozen=True)
class PolicySection:
    """Everything of the section that is not a picture."""

    trained: str
    """How the policy was trained, as a sentence."""
    variances: tuple[tuple[str, str, bool], ...]
    """Of the reward: where, how large, whether it is flat there."""
    flat_below: float
    policies: ScoreTable
    explained: tuple[tuple[str, str], ...]
    """Policies that were compared, and what each is."""
    differences: ScoreTable
    gap: tuple[tuple[str, Cell], ...]
    pay_off: tuple[str, ...]
    mix: ScoreTable
    one_training: bool
    """Only one training was compared, which cannot show how much trainings vary."""
    scores: tuple[tuple[str, str, str, str, int, int], ...]
    """Metric, policy, mean, interval, episodes, questions."""


def policy_section(policy: PolicyResults) -> PolicySection:
    """The section's tables and sentences."""
    scores = policy.scores
    names = in_order(score.policy for score in scores)
    return PolicySection(
        trained=_training(policy),
        variances=tuple(_variances(policy)),
        flat_below=FLAT_VARIANCE,
        policies=policies_table(scores),
        explained=tuple((name, EXPLAINED[name]) for name in names if name in EXPLAINED),
        differences=differences_table(scores),
        gap=tuple(gap_shares(scores)),
        pay_off=tuple(pay_off_lines(scores)),
        mix=mix_table(scores),
        one_training=training_seeds(scores) == 1,
        scores=tuple(raw_table(scores)),
    )


def _training(policy: PolicyResults) -> str:
    """By which algorithm, how long, with how many questions and at what price."""
    questions = sum(record.queries for record in policy.curve)
    guide = sum(record.guidance_queries for record in policy.curve)
    fallbacks = sum(record.fallbacks for record in policy.curve)
    text = f"Trained by {algorithm_name(policy.algorithm)}" if policy.algorithm else "Trained"
    text += f": {len(policy.curve):,} iterations, {questions:,} questions"
    if guide:
        text += f", {guide:,} of them to the guide"
    if fallbacks:
        text += f" (whose answer could not be read {fallbacks:,} times: a random operation took its place)"
    if policy.cost_nano_usd or policy.unpriced:
        text += f"; the answers cost {money(policy.cost_nano_usd, policy.unpriced)}"
    return f"{text}."


def _variances(policy: PolicyResults) -> list[tuple[str, str, bool]]:
    found = []
    if policy.curve:
        found += [
            ("in the first batch of the training", policy.curve[0].reward_variance),
            ("in its last batch", policy.curve[-1].reward_variance),
        ]
    if policy.uniform_variance is not None:
        found.append(("under uniform on held-out seeds", policy.uniform_variance))
    return [(where, number(variance, 4), is_flat(variance)) for where, variance in found]
