"""GAIL: a discriminator learns to tell the guide's texts from the learner's, and its doubt is the learner's reward.

It sees prompt and whole text, and speaks after the last token, where its reward counts. Its two classes count alike,
however many texts of a batch are whose. A batch is rewarded before the discriminator learns from it: one that has just
learnt that these very texts are the learner's would punish all that is rare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.nn.functional import logsigmoid, softplus

from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.on_policy import own_steps
from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.rlgf.learner import DISCRIMINATOR, TokenLearner, parts_of
from teams_dagster.rlgf.passes import learn_texts
from teams_dagster.rlgf.sequences import TextBatch
from teams_dagster.rlgf.token_algorithm_config import GAILConfig
from teams_dagster.rlgf.update import Scored, actor_critic_update


def gail_update(learner: TokenLearner, known: Scored, config: GAILConfig, key: Key) -> UpdateReport:
    """Move the policy by the discriminator's reward, and the discriminator, in place. The task's reward is not read."""
    batch = known.batch
    earned = reward_of(learner.in_parts(learner.guide_logits, batch), config)
    price = batch.rewards - known.rewards
    plan = own_steps(batch.valid & batch.by_learner, config.step, key, config.name)
    report = actor_critic_update(learner, replace(known, rewards=at_the_end(batch, earned) - price), plan)
    return replace(report, discriminator_loss=tell_apart(learner, batch, config, (*key, DISCRIMINATOR)))


def reward_of(logits: torch.Tensor, config: GAILConfig) -> torch.Tensor:
    """What texts earn whose log-odds of being the guide's are `logits`."""
    return logits if config.reward == "log_odds" else softplus(logits)


def at_the_end(batch: TextBatch, earned: torch.Tensor) -> torch.Tensor:
    """`earned` (texts,) at the last token of each text, 0 elsewhere: (texts, tokens)."""
    last = batch.valid.sum(1, keepdim=True) - 1
    return torch.zeros_like(batch.rewards).scatter(1, last, earned.unsqueeze(1))


def tell_apart(learner: TokenLearner, batch: TextBatch, config: GAILConfig, key: Key) -> float | None:
    """Move the discriminator towards 1 of the guide's texts and 0 of the learner's: its mean loss before.

    None, and no move, where the batch has texts of one of them alone.
    """
    of_guide = (batch.valid & ~batch.by_learner).any(1)
    if bool(of_guide.all()) or not bool(of_guide.any()):
        return None
    shares = torch.where(of_guide, 0.5 / of_guide.sum(), 0.5 / (~of_guide).sum())

    def loss_of(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return -logsigmoid(torch.where(of_guide[rows], logits, -logits)) @ shares[rows].to(logits.dtype)

    def losses(rows: torch.Tensor) -> Iterator[torch.Tensor]:
        for part in parts_of(len(rows), learner.config.at_once):
            chosen = rows[part]
            yield loss_of(learner.guide_logits(batch.rows(chosen)), chosen) / shares[rows].sum()

    texts = torch.arange(len(batch))
    before = loss_of(learner.in_parts(learner.guide_logits, batch), texts)
    learn_texts(learner.optimisers[DISCRIMINATOR], texts, config.discriminator, key, losses)
    return float(before)
