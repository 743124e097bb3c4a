"""What a policy is moved along: surrogates of its return, entropy, divergences and likelihoods.

Everything here takes the states that are trained, invalid and masked ones already dropped: log-probabilities of shape
(states, choices).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from teams_dagster.policy.algorithms.minibatches import Index, take
from teams_dagster.policy.estimators import EPSILON


@dataclass(frozen=True)
class AdvantageBatch:
    """K choices of each state and what they are worth; all of shape (states, K).

    The surrogate is the mean over states of the sum over the K of weight x likelihood ratio x advantage. A choice that
    was sampled has K = 1 and weight 1; where every choice was tried, its weight is its probability: both estimate the
    same expectation over the acting policy.
    """

    choices: torch.Tensor
    """long: which they are."""
    old: torch.Tensor
    """log pi_old(choice | s)."""
    weights: torch.Tensor
    advantages: torch.Tensor

    def __len__(self) -> int:
        return len(self.choices)

    def rows(self, index: Index) -> AdvantageBatch:
        """The states at `index`."""
        return AdvantageBatch(
            take(self.choices, index), take(self.old, index), take(self.weights, index), take(self.advantages, index)
        )

    def normalised(self) -> AdvantageBatch:
        """With advantages of mean 0 and sample deviation 1, as sb3 does to a minibatch; one alone stays as it is."""
        known = self.advantages[self.weights > 0]
        if len(known) < 2:
            return self
        return AdvantageBatch(
            self.choices, self.old, self.weights, (self.advantages - known.mean()) / (known.std() + EPSILON)
        )

    def log_ratio(self, new: torch.Tensor) -> torch.Tensor:
        """log pi_new / pi_old of the choices: (states, K)."""
        return new.gather(-1, self.choices) - self.old

    def surrogate(self, new: torch.Tensor) -> torch.Tensor:
        """Schulman et al. 2015, equation 14: the expected advantage under likelihood ratios."""
        return self._mean(self.log_ratio(new).exp() * self.advantages)

    def clipped(self, new: torch.Tensor, clip: float) -> torch.Tensor:
        """Schulman et al. 2017, equation 7: as the surrogate, but a ratio beyond 1 +- `clip` earns nothing more."""
        ratio = self.log_ratio(new).exp()
        bounded = ratio.clamp(1 - clip, 1 + clip)
        return self._mean(torch.minimum(ratio * self.advantages, bounded * self.advantages))

    def clip_fraction(self, new: torch.Tensor, clip: float) -> torch.Tensor:
        """Share of the choices whose ratio is beyond 1 +- `clip`."""
        return self._mean(((self.log_ratio(new).exp() - 1).abs() > clip).double())

    def divergence(self, new: torch.Tensor) -> torch.Tensor:
        """Mean of ratio - 1 - log ratio: estimates KL(old || new) from the choices alone, and is never negative."""
        log_ratio = self.log_ratio(new)
        return self._mean(log_ratio.expm1() - log_ratio)

    def _mean(self, values: torch.Tensor) -> torch.Tensor:
        return (self.weights * values).sum() / len(self)


Judge = Callable[[torch.Tensor], AdvantageBatch]
"""Log-probabilities of the acting policy, (states, choices), to what its choices are worth."""


def sampled(actions: torch.Tensor, advantages: torch.Tensor) -> Judge:
    """The judge of one sampled choice a state; both of shape (states,)."""

    def judge(old: torch.Tensor) -> AdvantageBatch:
        choices = actions.unsqueeze(-1)
        return AdvantageBatch(choices, old.gather(-1, choices), torch.ones_like(old[:, :1]), advantages.unsqueeze(-1))

    return judge


def enumerated(advantages: torch.Tensor, tried: torch.Tensor) -> Judge:
    """The judge of every choice of a state, where `tried`; both of shape (states, choices)."""

    def judge(old: torch.Tensor) -> AdvantageBatch:
        choices = torch.arange(old.shape[1]).expand_as(old)
        return AdvantageBatch(choices, old, torch.where(tried, old.exp(), 0.0), advantages)

    return judge


def mean_kl(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Mean KL(old || new) over states, in nats."""
    return (old.exp() * (old - new)).sum(-1).mean()


def mean_entropy(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Mean entropy over states, in nats."""
    return -(log_probabilities.exp() * log_probabilities).sum(-1).mean()


def imitation_loss(log_probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-mean log pi(label | s); `labels` has shape (states,)."""
    return -log_probabilities.gather(-1, labels.unsqueeze(-1)).mean()
