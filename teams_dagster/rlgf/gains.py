"""What the tokens of a batch are worth to the policy, as the choices that PPO's clipped surrogate knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from teams_dagster.policy.algorithms.objectives import AdvantageBatch

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
