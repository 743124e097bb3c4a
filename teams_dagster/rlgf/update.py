"""The update of a language model: estimate advantages of tokens, fit the critic, move the policy.

The masks are the algorithm's, the estimators and the clipped surrogate those of the operation policy. What differs:
log-probabilities are of the tokens taken alone, and minibatches are of whole texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.actor_critic import Estimates, Plan
from teams_dagster.policy.algorithms.critic import value_loss
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus
from teams_dagster.policy.estimators import (
    advantages,
    discounted_returns,
    explained_variance,
    masked_mean,
    normalised,
)
from teams_dagster.rlgf.config import TokenStepConfig
from teams_dagster.rlgf.gains import Gains
from teams_dagster.rlgf.learner import TokenLearner, parts_of
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.passes import learn_texts
from teams_dagster.rlgf.sequences import TextBatch


@dataclass(frozen=True)
class Scored:
    """A batch with what policy and reference say of it before the update; tensors (texts, tokens), float64."""

    batch: TextBatch
    old: torch.Tensor
    """log pi_old of the tokens taken."""
    entropies: torch.Tensor
    """Of the policy before each token."""
    rewards: torch.Tensor
    """The learner's tokens pay for leaving the reference."""
    kl: float | None
    """Mean of log pi_old - log pi_ref over the learner's tokens; None where there is no reference or no such token."""
    targets: TextBatch | None = None
    """The reference of each text's prompt, where `target_weight` has them learnt."""


def scored(learner: TokenLearner, batch: TextBatch, targets: TextBatch | None = None) -> Scored:
    """What the models say of `batch`; then kappa is steered. `targets` are a reference for each text.

    Raises ValueError where `target_weight` says that references are learnt, and there are none.
    """
    if learner.config.step.target_weight and targets is None:
        raise ValueError(
            f"step.target_weight is {learner.config.step.target_weight}, and no reference is given: give `targets`"
        )
    both = learner.in_parts(lambda part: torch.stack(learner.policy_scores(part), dim=1), batch)
    old, entropies = both[:, 0], both[:, 1]
    acted, config = batch.valid & batch.by_learner, learner.config.kl_reference
    if config is None or not bool(acted.any()):
        return Scored(batch, old, entropies, batch.rewards, None, targets)
    reference = learner.in_parts(learner.reference_log_probabilities, batch)
    distance = torch.where(acted, old - reference, 0.0)
    kl, rewards = float(masked_mean(distance, acted)), batch.rewards - learner.kappa * distance
    learner.steer(kl)
    return Scored(batch, old, entropies, rewards, kl, targets)


def actor_critic_update(learner: TokenLearner, known: Scored, plan: Plan) -> UpdateReport:
    """Fit the plan's critic and move the policy, in place. What has no token is skipped, its optimiser too."""
    estimates = estimate(learner, known, plan.critic)
    loss, explained = fit(learner, known.batch, estimates, plan) if bool(plan.fitted.any()) else (None, None)
    worth = plan.advantages(estimates)
    if learner.config.step.normalise == "batch" and bool(plan.trained.any()):
        worth = normalised(worth, plan.trained)
    step = move_policy(learner, known, Gains(worth, plan.trained), plan.key)
    return UpdateReport(
        **vars(step),
        phase=plan.phase,
        policy_steps=int(plan.trained.sum()),
        critic_steps=int(plan.fitted.sum()),
        critic_loss=loss,
        explained_variance=explained,
        kappa=learner.kappa if learner.config.kl_reference else None,
    )


def estimate(learner: TokenLearner, known: Scored, critic: str) -> Estimates:
    """Values, returns and advantages of each token by one critic; every text ends where it ends."""
    config, valid = learner.config, known.batch.valid
    values = torch.where(valid, learner.in_parts(lambda part: learner.values(critic, part), known.batch), 0.0)
    final = torch.zeros_like(values[:, 0])
    returns = discounted_returns(known.rewards, valid, final, gamma=config.gamma)
    gae = advantages(known.rewards, values, valid, final, gamma=config.gamma, decay=config.gae_decay)
    return Estimates(values, returns, gae)


def fit(learner: TokenLearner, batch: TextBatch, estimates: Estimates, plan: Plan) -> tuple[float, float]:
    """Fit the plan's critic: its loss after the fit, and the share of variance that it explained before."""
    config, fitted = learner.config.critic, plan.fitted
    targets = estimates.returns if config.targets == "returns" else estimates.gae + estimates.values
    explained = explained_variance(estimates.values, targets, fitted)

    def loss_of(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        chosen = fitted[rows]
        return value_loss(values[chosen], targets[rows][chosen], estimates.values[rows][chosen], config)

    def losses(texts: torch.Tensor) -> Iterator[torch.Tensor]:
        for part in parts_of(len(texts), learner.config.at_once):
            rows = texts[part]
            share = fitted[rows].sum() / fitted[texts].sum()
            yield share * loss_of(learner.values(plan.critic, batch.rows(rows)), rows)

    texts = fitted.any(1).nonzero().squeeze(1)
    learn_texts(learner.optimisers[plan.critic], texts, config, plan.key, losses)
    after = learner.in_parts(lambda part: learner.values(plan.critic, part), batch)
    return float(loss_of(after, torch.arange(len(batch)))), explained


def move_policy(learner: TokenLearner, known: Scored, gains: Gains, key: Key) -> PolicyStep:
    """Move the policy up the clipped surrogate of `gains`, in place.

    Raises ValueError on advantages that are not finite.
    """
    config, texts = learner.config.step, gains.texts
    if not len(texts):
        return PolicyStep(UpdateStatus.NO_STEPS)
    if not bool(torch.isfinite(gains.advantages[gains.trained]).all()):
        raise ValueError("an advantage is not finite; check the rewards and the critic's values")
    divergences: list[float] = []

    def losses(rows: torch.Tensor) -> Iterator[torch.Tensor]:
        divergences.clear()
        yield from policy_losses(learner, known, gains, rows, config, divergences)

    def near() -> bool:
        return config.target_kl is None or sum(divergences) <= 1.5 * config.target_kl

    passes = learn_texts(learner.optimisers[POLICY], texts, config, key, losses, near)
    after = learner.in_parts(learner.policy_log_probabilities, known.batch)
    judged, old, new = gains.judged(known.old), gains.of_choices(known.old), gains.of_choices(after)
    return PolicyStep(
        UpdateStatus.STOPPED_EARLY if passes.stopped else UpdateStatus.MOVED,
        entropy=float(masked_mean(known.entropies, gains.trained)),
        kl=float(judged.divergence(new)),
        improvement=float(judged.surrogate(new) - judged.surrogate(old)),
        step_size=passes.share,
        clip_fraction=float(judged.clip_fraction(new, config.clip)),
    )


def policy_losses(
    learner: TokenLearner,
    known: Scored,
    gains: Gains,
    texts: torch.Tensor,
    config: TokenStepConfig,
    divergences: list[float],
) -> Iterator[torch.Tensor]:
    """The parts of a minibatch's loss: minus the clipped surrogate, minus `entropy_weight` times the entropy, plus
    `target_weight` times the mean loss of a token of the references of its prompts.

    What each part adds to the minibatch's mean divergence is appended to `divergences`.
    """
    mine = gains.rows(texts)
    whole = mine.judged(known.old[texts])
    if config.normalise == "minibatch":
        whole = whole.normalised()
    begin = 0
    for part in parts_of(len(texts), learner.config.at_once):
        chosen = mine.rows(part)
        end = begin + int(chosen.choices.sum())
        judged, share = whole.rows(torch.arange(begin, end)), (end - begin) / len(whole)
        rows, entropies = known.batch.rows(texts[part]), None
        if config.entropy_weight:
            scores, entropies = learner.policy_scores(rows)
        else:
            scores = learner.policy_log_probabilities(rows)
        new = chosen.of_choices(scores.double())
        divergences.append(share * float(judged.divergence(new.detach())))
        loss = -share * judged.clipped(new, config.clip)
        if entropies is not None:
            loss = loss - config.entropy_weight * entropies[chosen.trained].sum() / mine.trained.sum()
        yield loss
        begin = end
    if config.target_weight and known.targets is not None:
        for loss in reference_losses(learner, known.targets.rows(texts)):
            yield config.target_weight * loss


def reference_losses(learner: TokenLearner, references: TextBatch) -> Iterator[torch.Tensor]:
    """The parts of -mean log pi of the tokens of `references`."""
    tokens = references.valid.sum()
    for part in parts_of(len(references), learner.config.at_once):
        yield -learner.policy_log_probabilities(references.rows(part)).sum() / tokens
