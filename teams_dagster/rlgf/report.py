"""What a training says of itself: one record an iteration, and what is measured beside the reward."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.policy.estimators import masked_mean
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.sequences import EndReason, Text, batch_of


@dataclass(frozen=True)
class Metrics:
    """Of texts that the policy wrote."""

    texts: int
    reward: float
    """Mean."""
    reward_deviation: float
    """Sample deviation between texts; 0 of one."""
    perplexity: float
    """exp of the mean negative log-probability of a token under the model before any training, at the temperature that
    the policy writes at."""
    distinct_1: float
    """Different tokens over all tokens, of all texts together."""
    distinct_2: float
    """The same of pairs of neighbours."""
    length: float
    """Mean tokens of a text, its end token included."""
    ended: float
    """Share of texts that ended by themselves."""
    kl: float
    """Mean of log pi - log pi_ref over all tokens, in nats: estimates the KL from the model before any training.
    Both are at the temperature that the policy writes at."""
    task: Mapping[str, float] = field(default_factory=dict[str, float])
    """Means of the metrics that the task names."""


def measured(
    learner: TokenLearner, texts: Sequence[Text], padding: int, task: Mapping[str, float] | None = None
) -> Metrics:
    """The metrics of `texts`, which the policy wrote with log-probabilities as they are now; `task` has the task's."""
    batch = batch_of(texts, padding)
    own = learner.in_parts(learner.policy_log_probabilities, batch)[batch.valid]
    reference = learner.reference_says(batch)[batch.valid]
    rewards = [text.reward for text in texts]
    mean = sum(rewards) / len(rewards)
    spread = sum((reward - mean) ** 2 for reward in rewards) / max(1, len(rewards) - 1)
    return Metrics(
        texts=len(texts),
        reward=mean,
        reward_deviation=math.sqrt(spread),
        perplexity=math.exp(-float(reference.mean())),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        length=sum(len(text.tokens) for text in texts) / len(texts),
        ended=sum(text.end is EndReason.ENDED for text in texts) / len(texts),
        kl=float((own - reference).mean()),
        task=dict(task or {}),
    )


def perplexities(learner: TokenLearner, texts: Sequence[Text], padding: int) -> list[float]:
    """Of each text under the model before any training, at the temperature that the policy writes at."""
    batch = batch_of(texts, padding)
    reference = learner.reference_says(batch)
    return [math.exp(-float(masked_mean(scores, valid))) for scores, valid in zip(reference, batch.valid, strict=True)]


def distinct(texts: Sequence[Text], size: int) -> float:
    """Different runs of `size` tokens over all of them (Li et al. 2016); 0 where there is none."""
    runs = [text.tokens[at : at + size] for text in texts for at in range(len(text.tokens) - size + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


@dataclass(frozen=True)
class IterationRecord:
    """One batch with its update."""

    iteration: int
    reward: float
    """Mean of the batch's texts, those that the guide wrote a part of included."""
    learner_tokens: int
    guide_tokens: int
    kl: float | None
    """Mean of log pi - log pi_ref over the learner's tokens, before the update; None without a reference term."""
    update: UpdateReport
    queries: int = 0
    """That guide and reward took for the batch, those answered before included."""


@dataclass(frozen=True)
class Evaluation:
    """The policy's own texts after the evaluation prompts."""

    iteration: int
    """Updates before it."""
    tokens: int
    """Tokens that learner and guide had written for the training by then."""
    metrics: Metrics


@dataclass(frozen=True)
class TrainingReport:
    """What a training did."""

    version: str
    """A hash of configuration, task and base, and of the names of a guide and a reward that were given."""
    records: tuple[IterationRecord, ...]
    evaluations: tuple[Evaluation, ...]
    """The first is of the model before any update, the last of the one after all."""

    @property
    def learner_tokens(self) -> int:
        """Tokens that the learner wrote."""
        return sum(record.learner_tokens for record in self.records)

    @property
    def guide_tokens(self) -> int:
        """Tokens that the guide wrote."""
        return sum(record.guide_tokens for record in self.records)
