"""States with the guide's choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from teams_dagster.policy.algorithms.batch import Batch
from teams_dagster.policy.algorithms.minibatches import Index, Key, rows, shuffled, take
from teams_dagster.policy.algorithms.objectives import imitation_loss


@dataclass(frozen=True)
class Labelled:
    """States whose choice by the guide is known."""

    features: torch.Tensor
    """(states, features)."""
    labels: torch.Tensor
    """(states,), long."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: Index) -> Labelled:
        """The states at `index`."""
        return Labelled(take(self.features, index), take(self.labels, index))

    def shares(self, count: int, key: Key) -> list[Labelled | None]:
        """The states shuffled and dealt to `count` parts; None is a part that gets none."""
        parts = shuffled(len(self), key).tensor_split(count)
        return [self.rows(part) if len(part) else None for part in parts]

    def joined(self, others: Labelled | None) -> Labelled:
        """These states after `others`."""
        if others is None:
            return self
        return Labelled(torch.cat([others.features, self.features]), torch.cat([others.labels, self.labels]))

    def loss(self, policy: nn.Module) -> torch.Tensor:
        """-mean log pi(guide's choice | s)."""
        return imitation_loss(policy(self.features), self.labels)


def labelled_states(batch: Batch) -> Labelled | None:
    """Every state of `batch` where the guide's choice is known; None where there is none."""
    mask = batch.valid & (batch.labels >= 0)
    return Labelled(rows(batch.features, mask), rows(batch.labels, mask)) if bool(mask.any()) else None
