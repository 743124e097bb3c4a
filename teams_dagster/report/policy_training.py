"""How a policy was trained, as the report says it."""

from __future__ import annotations

from collections.abc import Iterator

from teams_dagster.core.text import money, percent, signed
from teams_dagster.report.content import PolicyResults
from teams_dagster.report.policies import algorithm_name


def training_sentences(policy: PolicyResults) -> str:
    """By which algorithm, how long, with how many queries, at what price and for which reward."""
    questions = sum(record.queries for record in policy.curve)
    guide = sum(record.guidance_queries for record in policy.curve)
    fallbacks = sum(record.fallbacks for record in policy.curve)
    text = f"Trained by {algorithm_name(policy.algorithm)}" if policy.algorithm else "Trained"
    text += f": {len(policy.curve):,} iterations, {questions:,} queries"
    if guide:
        text += f", {guide:,} of them to the guide"
    if fallbacks:
        text += f" (whose answer could not be read {fallbacks:,} times: a random operation took its place)"
    if policy.cost_nano_usd or policy.unpriced:
        text += f"; the answers cost {money(policy.cost_nano_usd, policy.unpriced)}"
    return " ".join((f"{text}.", *_reward_options(policy)))


def _reward_options(policy: PolicyResults) -> Iterator[str]:
    """What the reward's options were, what it could not count, and what they showed of the reviewer."""
    if policy.edits_without_tokens:
        yield (
            f"Of the edits, {policy.edits_without_tokens:,} came without their number of tokens: reward `dollars` could"
            " not price them, and they earned and cost nothing."
        )
    if policy.soft_reward:
        unknown = policy.verdicts_without_probability
        yield "The reward has the probability of Not Equal in the place of the verdict" + (
            f"; {unknown:,} verdicts came without one and counted as 0 or 1." if unknown else "."
        )
    if policy.pairs_in_both_orders is None:
        return
    text = f"Each verdict was taken in both orders of the two texts: {policy.pairs_in_both_orders:,} edits"
    if policy.orders_disagree is not None:
        text += f", {percent(policy.orders_disagree)} of them with another verdict the other way round"
    if policy.order_difference is not None:
        text += f"; P(Not Equal) differs by {signed(policy.order_difference)} on the mean, this order less the other"
    yield f"{text}."
