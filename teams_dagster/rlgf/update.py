"""The update of a language model: estimate advantages of tokens, fit the critic, move the policy.

The masks are the algorithm's, the estimators and the clipped surrogate those of the operation policy. What differs:
log-probabilities are of the tokens taken alone, and minibatches are of whole texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from teams_dagster.policy.algorithms.actor_critic import Estimates, Plan
from teams_dagster.policy.algorithms.critic import value_loss
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.policy.algorithms.objectives import AdvantageBatch
from teams_dagster.policy.algorithms.report import PolicyStep, UpdateReport, UpdateStatus
from teams_dagster.policy.estimators import (
    advantages,
    discounted_returns,
    explained_variance,
    masked_mean,
    normalised,
)
from teams_dagster.rlgf.config import TokenStepConfig
from teams_dagster.rlgf.learner import TokenLearner, parts_of
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.passes import learn_texts
from teams_dagster.rlgf.scoring import TokenScores
from teams_dagster.rlgf.sequences import TextBatch

Counting = Literal["tokens", "texts", "whole"]
"""What a mean is over: `tokens`, each alike (PPO); `texts`, each the mean of its tokens (GRPO); `whole` texts, each one
action whose log-probability is the sum of its tokens' (RLOO)."""


@dataclass(frozen=True)
class Gains:
    """Advantages of a batch; tensors of shape (texts, tokens)."""

    advantages: torch.Tensor
    """float64. Of `whole` texts all trained tokens of one have the same."""
    trained: torch.Tensor
    """bool: the tokens that the policy learns."""
    counting: Counting = "tokens"

    def rows(self, index: torch.Tensor) -> Gains:
        """Of the texts at `index`."""
        return Gains(self.advantages[index], self.trained[index], self.counting)

    @property
    def texts(self) -> torch.Tensor:
        """The texts that teach anything, long."""
        return self.trained.any(1).nonzero().squeeze(1)

    @property
    def choices(self) -> torch.Tensor:
        """(texts,), long: how many choices each text is."""
        return self.trained.any(1).long() if self.counting == "whole" else self.trained.sum(1)

    def of_choices(self, scores: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of tokens, (texts, tokens), as those of the choices: (choices, 1)."""
        if self.counting != "whole":
            return scores[self.trained].unsqueeze(-1)
        return torch.where(self.trained, scores, 0.0).sum(1, keepdim=True)[self.trained.any(1)]

    def judged(self, old: torch.Tensor) -> AdvantageBatch:
        """The choices with their advantages; `old` (texts, tokens) are log-probabilities of the policy that wrote."""
        counts = self.trained.sum(1, keepdim=True)
        known = self.of_choices(old)
        if self.counting == "whole":
            worth = self.of_choices(self.advantages / counts.clamp(min=1))
        else:
            worth = self.of_choices(self.advantages)
        weights = torch.ones_like(known)
        if self.counting == "texts":
            even = len(known) / (int((counts > 0).sum()) * counts.clamp(min=1).double())
            weights = self.of_choices(even.expand_as(self.advantages))
        return AdvantageBatch(torch.zeros_like(known, dtype=torch.long), known, weights, worth)


REPORTED = 4
"""What a single step did is read off every fourth text: a pass over all would be a fourth of what the step takes."""


@dataclass(frozen=True)
class Scored:
    """A batch with what is known of it before the update; tensors (texts, tokens), float64."""

    batch: TextBatch
    old: TokenScores | None
    """What the policy that wrote says of it; None where the rewards do not need it, so that nobody asked yet."""
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
    acted, config = batch.valid & batch.by_learner, learner.config.kl_reference
    if config is None or not bool(acted.any()):
        return Scored(batch, None, batch.rewards, None, targets)
    old = policy_says(learner, batch)
    reference = learner.reference_says(batch)
    distance = torch.where(acted, old.log_probabilities - reference, 0.0)
    kl, rewards = float(masked_mean(distance, acted)), batch.rewards - learner.kappa * distance
    learner.steer(kl)
    return Scored(batch, old, rewards, kl, targets)


def policy_says(learner: TokenLearner, batch: TextBatch) -> TokenScores:
    """Log-probabilities and entropies of `batch` by the policy as it is: a pass over all texts, without gradients."""
    both = learner.in_parts(lambda part: torch.stack(learner.policy_scores(part), dim=1), batch)
    return TokenScores(both[:, 0], both[:, 1])


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
    one_step = takes_one_step(config, len(texts))
    if known.old is None and not one_step:
        known = replace(known, old=policy_says(learner, known.batch))
    seen = Seen()

    def losses(rows: torch.Tensor) -> Iterator[torch.Tensor]:
        seen.forget()
        yield from policy_losses(learner, known, gains, rows, seen)

    def near() -> bool:
        return config.target_kl is None or seen.divergence <= 1.5 * config.target_kl

    passes = learn_texts(learner.optimisers[POLICY], texts, config, key, losses, near)
    before = known.old or seen.together(known.batch)
    told = texts[::REPORTED] if one_step else texts
    after = learner.in_parts(learner.policy_log_probabilities, known.batch.rows(told))
    sample, scores = gains.rows(told), before.log_probabilities[told]
    judged, old, new = sample.judged(scores), sample.of_choices(scores), sample.of_choices(after)
    return PolicyStep(
        UpdateStatus.STOPPED_EARLY if passes.stopped else UpdateStatus.MOVED,
        entropy=float(masked_mean(before.entropies, gains.trained)),
        kl=float(judged.divergence(new)),
        improvement=float(judged.surrogate(new) - judged.surrogate(old)),
        step_size=passes.share,
        clip_fraction=float(judged.clip_fraction(new, config.clip)),
    )


def takes_one_step(config: TokenStepConfig, texts: int) -> bool:
    """Whether so many texts are one minibatch, seen once: then the policy that is moved is the one that wrote."""
    return config.epochs == 1 and (config.minibatch == 0 or config.minibatch >= texts)


@dataclass
class Seen:
    """What the forward passes of a minibatch said on the way."""

    divergence: float = 0.0
    """Mean of the minibatch from the policy that wrote."""
    scores: list[tuple[torch.Tensor, TokenScores]] = field(default_factory=list[tuple[torch.Tensor, TokenScores]])
    """Which texts, and what was said of them; only where the policy is still the one that wrote."""

    def forget(self) -> None:
        """Before the next minibatch."""
        self.divergence = 0.0
        self.scores.clear()

    def together(self, batch: TextBatch) -> TokenScores:
        """The scores of `batch`, (texts, tokens), float64; 0 of a text that was not seen."""
        found = TokenScores(torch.zeros_like(batch.rewards), torch.zeros_like(batch.rewards))
        for texts, scores in self.scores:
            for whole, part in zip(found, scores, strict=True):
                whole[texts] = part.detach().double()
        return found


def policy_losses(
    learner: TokenLearner, known: Scored, gains: Gains, texts: torch.Tensor, seen: Seen
) -> Iterator[torch.Tensor]:
    """The parts of a minibatch's loss: minus the clipped surrogate, minus `entropy_weight` times the entropy, plus
    `target_weight` times the mean loss of a token of the references of its prompts.

    Where `known` has no log-probabilities of the policy that wrote, this policy is it. `seen` is told what is said.
    """
    config, mine = learner.config.step, gains.rows(texts)
    whole = mine.judged(torch.zeros_like(mine.advantages))  # what a choice is worth; of whom it is follows by parts
    if config.normalise == "minibatch":
        whole = whole.normalised()
    begin = 0
    for part in parts_of(len(texts), learner.config.at_once):
        chosen = mine.rows(part)
        end = begin + int(chosen.choices.sum())
        scores = _said(learner, known, texts[part], seen)
        old = scores.log_probabilities.detach() if known.old is None else known.old.log_probabilities[texts[part]]
        judged = replace(whole.rows(torch.arange(begin, end)), old=chosen.of_choices(old.double()))
        new, share = chosen.of_choices(scores.log_probabilities.double()), (end - begin) / len(whole)
        seen.divergence += share * float(judged.divergence(new.detach()))
        loss = -share * judged.clipped(new, config.clip)
        if config.entropy_weight:
            loss = loss - config.entropy_weight * scores.entropies[chosen.trained].sum() / mine.trained.sum()
        yield loss
        begin = end
    if config.target_weight and known.targets is not None:
        for loss in reference_losses(learner, known.targets.rows(texts)):
            yield config.target_weight * loss


def _said(learner: TokenLearner, known: Scored, texts: torch.Tensor, seen: Seen) -> TokenScores:
    """Of `texts` by the policy, with gradients; entropies that nobody reads are not computed, and 0."""
    rows, learnt = known.batch.rows(texts), bool(learner.config.step.entropy_weight)
    if not learnt and known.old is not None:
        scores = learner.policy_log_probabilities(rows)
        return TokenScores(scores, torch.zeros_like(scores))
    scores = learner.policy_scores(rows, learn_entropies=learnt)
    if known.old is None:
        seen.scores.append((texts, TokenScores(*(part.detach() for part in scores))))
    return scores


def reference_losses(learner: TokenLearner, references: TextBatch) -> Iterator[torch.Tensor]:
    """The parts of -mean log pi of the tokens of `references`."""
    tokens = references.valid.sum()
    for part in parts_of(len(references), learner.config.at_once):
        yield -learner.policy_log_probabilities(references.rows(part)).sum() / tokens
