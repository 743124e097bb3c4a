"""What is said of policies in sentences: how one was trained, what was learnt, and whether it took a learner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from teams_dagster.core.text import money, percent, signed, words
from teams_dagster.policy.baselines import SIMPLER_RULES
from teams_dagster.policy.comparison.bootstrap import ENOUGH_TRAININGS
from teams_dagster.policy.comparison.contenders import TRAINED, UNREADING
from teams_dagster.policy.comparison.scores import HEADLINE, Score
from teams_dagster.report.content import PolicyResults
from teams_dagster.report.policies import algorithm_name

WORTH_A_LEARNER = 1.10
"""How many times the nearest simpler rule's figure the policy's has to be, before a learner is said to be needed."""


def difference_metric(metric: str, other: str) -> str:
    """The trained policy's metric that says by how much it exceeds `other` in `metric`."""
    return f"{metric}_minus_{other}"


def training_seeds(scores: Iterable[Score]) -> int | None:
    """How many trainings of the policy were compared; None where it is not known."""
    return max((score.training_seeds for score in scores if score.policy == TRAINED), default=None)


def learnt(scores: Sequence[Score]) -> str:
    """Whether the trained policy learnt to read, by the better of those that were trained without the text."""
    if not scores:
        return ""
    gain = gain_by_reading(scores)
    if gain is None:
        return (
            "Whether it learnt to read, or an order of operations, was not measured: job policy_study compares it with"
            " policies that were trained without the text."
        )
    told = (
        f"{signed(gain.mean)} {words(HEADLINE)} (95%: {signed(gain.ci_low)} to {signed(gain.ci_high)}) over"
        f" {words(gain.metric.removeprefix(difference_metric(HEADLINE, '')))}, trained alike without the text"
    )
    if gain.ci_low > 0:
        return f"It learnt to read: {told}."
    return f"It learnt an order of operations, not to read, as far as can be told: {told}."


def gain_by_reading(scores: Iterable[Score]) -> Score | None:
    """The trained policy's gain over the stricter control of `UNREADING`; None without.

    Stricter is the one over which least is certain: the lower end of the interval says what may be told.
    """
    found = of_trained(scores)
    gains = [gain for name in UNREADING if (gain := found.get(difference_metric(HEADLINE, name)))]
    return min(gains, key=lambda gain: gain.ci_low, default=None)


def simpler_rule(scores: Sequence[Score]) -> str:
    """Whether a rule without a network does as well, by the one that comes nearest to the trained policy."""
    if not scores:
        return ""
    found = of_trained(scores)
    nearest = [_nearest(found, metric) for metric in (HEADLINE, "return")]
    if nearest[0] is None or nearest[1] is None:
        return (
            "Whether a simpler rule would do (a fixed sequence, a bandit, a table, one prompt without operations) was"
            " not measured: job policy_study compares it with these."
        )
    (distinct_rule, distinct), (return_rule, gained) = nearest[0], nearest[1]
    ratio = found.get(f"{HEADLINE}_over_{distinct_rule}")
    told = f"{_difference(distinct, HEADLINE)} over {words(distinct_rule)}"
    if ratio is not None:
        told += f" ({ratio.mean:.2f} times)"
    if distinct.ci_low <= 0:
        return f"A simpler rule suffices, as far as can be told: {told}, the nearest."
    if ratio is not None and ratio.mean < WORTH_A_LEARNER:
        return f"A simpler rule nearly suffices: {told}, the nearest."
    if gained.ci_low > 0:
        return f"No simpler rule that was tried does as well: {told}, the nearest."
    return (
        f"Where a seed is played once, a simpler rule suffices: {_difference(gained, 'return')} over"
        f" {words(return_rule)}. Where it is played several times the policy gains by varying: {told}, the nearest."
    )


def _nearest(found: Mapping[str, Score], metric: str) -> tuple[str, Score] | None:
    """The simpler rule over which least is certain in `metric`, and the gain over it; None without any."""
    gains = [(name, gain) for name in SIMPLER_RULES if (gain := found.get(difference_metric(metric, name)))]
    return min(gains, key=lambda pair: pair[1].ci_low, default=None)


def _difference(gain: Score, metric: str) -> str:
    return f"{signed(gain.mean)} {words(metric)} (95%: {signed(gain.ci_low)} to {signed(gain.ci_high)})"


def few_trainings(scores: Iterable[Score]) -> str:
    """What the intervals cannot say, where fewer trainings were compared than say how much trainings vary."""
    count = training_seeds(scores)
    if count is None or count >= ENOUGH_TRAININGS:
        return ""
    if count == 1:
        return (
            "Only one training of the policy was compared: the intervals hold for this one, and cannot show how much"
            " trainings vary."
        )
    return (
        f"Only {count} trainings of the policy were compared: the intervals are rough, and may be too narrow, where"
        f" trainings vary much; {ENOUGH_TRAININGS} are enough."
    )


def of_trained(scores: Iterable[Score]) -> dict[str, Score]:
    """The trained policy's scores by metric."""
    return {score.metric: score for score in scores if score.policy == TRAINED}


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
