"""Online DPO: of two texts of a prompt the better is preferred, and the policy is moved by DPO's loss.

The loss is -log sigmoid(beta (log pi/pi_ref of the better - log pi/pi_ref of the worse)), Rafailov et al. 2023,
equation 7; the pairs are the policy's own, as in Guo et al. 2024. Its beta takes the place of kappa: rewards are not
priced.
"""

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
from teams_dagster.rlgf.sequences import TextBatch
from teams_dagster.rlgf.token_algorithm_config import OnlineDPOConfig
from teams_dagster.rlgf.update import Scored, policy_says


@dataclass(frozen=True)
class Pairs:
    """Pairs of a batch of which one text is better; both (pairs,), long: which texts."""

    better: torch.Tensor
    worse: torch.Tensor

    def __len__(self) -> int:
        return len(self.better)

    def rows(self, index: torch.Tensor) -> Pairs:
        """The pairs at `index`."""
        return Pairs(self.better[index], self.worse[index])

    @property
    def texts(self) -> torch.Tensor:
        """The better ones, then the worse."""
        return torch.cat([self.better, self.worse])


def pairs_of(rewards: torch.Tensor) -> Pairs:
    """`rewards` (texts,) are of pairs of neighbours; those that earned alike are no pair."""
    earned = rewards.reshape(-1, 2)
    chosen = (earned[:, 0] != earned[:, 1]).nonzero().squeeze(1)
    first = earned[chosen, 0] > earned[chosen, 1]
    return Pairs(2 * chosen + (~first).long(), 2 * chosen + first.long())


def dpo_losses(ratios: torch.Tensor, beta: float) -> torch.Tensor:
    """Of each pair: (pairs,). `ratios` (2 pairs,) are log pi/pi_ref of whole texts, better ones before the worse."""
    better, worse = ratios.chunk(2)
    return -torch.nn.functional.logsigmoid(beta * (better - worse))


def preference_update(learner: TokenLearner, known: Scored, config: OnlineDPOConfig, key: Key) -> UpdateReport:
    """Move the policy down DPO's loss of the batch's pairs, in place."""
    batch, pairs = known.batch, pairs_of(known.batch.rewards.sum(1))
    if not len(pairs):
        return _report(learner, PolicyStep(UpdateStatus.NO_STEPS), 0)
    old = known.old or policy_says(learner, batch)
    reference = learner.reference_says(batch).sum(1)

    def losses(rows: torch.Tensor) -> Iterator[torch.Tensor]:
        for part in parts_of(len(rows), max(1, learner.config.at_once // 2)):
            texts = pairs.rows(rows[part]).texts
            new = learner.policy_log_probabilities(batch.rows(texts)).double().sum(1)
            yield dpo_losses(new - reference[texts], config.beta).sum() / len(rows)

    step = config.step.model_copy(update={"minibatch": config.step.minibatch // 2})
    passes = learn_texts(learner.optimisers[POLICY], torch.arange(len(pairs)), step, key, losses)
    after = learner.in_parts(learner.policy_log_probabilities, batch)
    before, later = (
        float(dpo_losses((scores.sum(1) - reference)[pairs.texts], config.beta).mean())
        for scores in (old.log_probabilities, after)
    )
    moved, valid = after - old.log_probabilities, batch.valid
    moves = PolicyStep(
        UpdateStatus.MOVED,
        entropy=float(masked_mean(old.entropies, valid)),
        kl=float(masked_mean(moved.expm1() - moved, valid)),
        improvement=before - later,
        step_size=passes.share,
    )
    return _report(learner, moves, _tokens(batch, pairs))


def _tokens(batch: TextBatch, pairs: Pairs) -> int:
    return int(batch.valid[pairs.texts].sum())


def _report(learner: TokenLearner, step: PolicyStep, tokens: int) -> UpdateReport:
    kappa = learner.kappa if learner.config.kl_reference else None
    return UpdateReport(**vars(step), phase="online_dpo", policy_steps=tokens, critic_steps=0, kappa=kappa)
