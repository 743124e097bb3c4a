"""What a training says of itself: one record an iteration, and what was measured in between."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.rlgf.metrics import Metrics


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
