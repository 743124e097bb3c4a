"""Updates without a critic: texts of a prompt judged by each other (GRPO, RLOO), or learnt as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus
from teams_dagster.policy.estimators import masked_mean
from teams_dagster.rlgf.learner import TokenLearner, parts_of
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.passes import learn_texts
from teams_dagster.rlgf.sequences import TextBatch, joined
from teams_dagster.rlgf.token_algorithm_config import ExpertIterationConfig, GRPOConfig, RLOOConfig
from teams_dagster.rlgf.update import Gains, Scored, move_policy, policy_says

DEVIATION_FLOOR = 1e-4
"""Added to a group's deviation before dividing by it, as TRL does."""


def group_update(learner: TokenLearner, known: Scored, config: GRPOConfig | RLOOConfig, key: Key) -> UpdateReport:
    """Move the policy by what each text earned beside the others of its prompt, which stand next to it."""
    earned = known.rewards.sum(1).reshape(-1, config.group)
    if isinstance(config, GRPOConfig):
        worth = (earned - earned.mean(1, keepdim=True)) / (earned.std(1, keepdim=True) + DEVIATION_FLOOR)
    else:
        worth = (earned - earned.mean(1, keepdim=True)) * config.group / (config.group - 1)
    valid = known.batch.valid
    gains = Gains(
        worth.reshape(-1, 1).expand(valid.shape), valid, "texts" if isinstance(config, GRPOConfig) else "whole"
    )
    return _report(learner, move_policy(learner, known, gains, key), config.name, int(valid.sum()))


def best_of(rewards: torch.Tensor, config: ExpertIterationConfig) -> torch.Tensor:
    """The texts that are kept of each group, long, in their order; of equal ones the first. `rewards` (texts,)."""
    count = max(1, round(config.keep * config.group))
    order = rewards.reshape(-1, config.group).argsort(dim=1, descending=True, stable=True)[:, :count]
    first = torch.arange(len(order)).unsqueeze(1) * config.group
    return (first + order).flatten().sort().values


@dataclass(frozen=True)
class Lesson:
    """Texts to be learnt by their likelihood."""

    batch: TextBatch
    learnt: torch.Tensor
    """(texts, tokens), bool: the tokens that count; prompts never do."""


def likelihood_update(
    learner: TokenLearner, known: Scored, learnt: torch.Tensor, key: Key, phase: str, lesson: Lesson | None = None
) -> UpdateReport:
    """Move the policy up the likelihood of the tokens of `lesson`, by default those of the batch that are `learnt`.

    `learnt` (texts, tokens), bool, are the tokens of the batch that the report is of.
    """
    taught = lesson or Lesson(known.batch, learnt)

    def losses(rows: torch.Tensor) -> Iterator[torch.Tensor]:
        tokens = taught.learnt[rows].sum()
        for part in parts_of(len(rows), learner.config.at_once):
            scores = learner.policy_log_probabilities(taught.batch.rows(rows[part]))
            yield -scores[taught.learnt[rows[part]]].sum() / tokens

    old = known.old or policy_says(learner, known.batch)
    texts = taught.learnt.any(1).nonzero().squeeze(1)
    passes = learn_texts(learner.optimisers[POLICY], texts, learner.config.step, key, losses)
    after = learner.in_parts(learner.policy_log_probabilities, known.batch)
    before, later = (float(-masked_mean(scores, learnt)) for scores in (old.log_probabilities, after))
    own = known.batch.valid & known.batch.by_learner  # others' tokens say nothing of the distance from who wrote
    moved = after - old.log_probabilities
    step = PolicyStep(
        UpdateStatus.MOVED,
        entropy=float(masked_mean(old.entropies, learnt)),
        kl=float(masked_mean(moved.expm1() - moved, own)) if bool(own.any()) else 0.0,
        improvement=before - later,
        step_size=passes.share,
        imitation_loss=before,
    )
    return _report(learner, step, phase, int(taught.learnt.sum()))


def remembered(learner: TokenLearner, batch: TextBatch, most: int) -> Lesson:
    """The guide's tokens of the latest `most` texts that the learner was ever shown, those of `batch` included."""
    texts = batch if learner.memory is None else joined(learner.memory, batch)
    learner.memory = texts.rows(torch.arange(max(0, len(texts) - most), len(texts)))
    return Lesson(learner.memory, learner.memory.valid & ~learner.memory.by_learner)


def _report(learner: TokenLearner, step: PolicyStep, phase: str, tokens: int) -> UpdateReport:
    kappa = learner.kappa if learner.config.kl_reference else None
    return UpdateReport(**vars(step), phase=phase, policy_steps=tokens, critic_steps=0, kappa=kappa)
