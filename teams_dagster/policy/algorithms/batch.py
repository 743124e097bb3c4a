"""What algorithms ask for and learn from: who acts at which step of an episode, and the episodes as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Who(StrEnum):
    """One of the two that can act."""

    LEARNER = "learner"
    GUIDE = "guide"


@dataclass(frozen=True)
class RollIn:
    """An episode's plan: `first` acts at the steps before `switch`, `then` from it on. Steps count from 0."""

    first: Who
    then: Who
    switch: int
    ask_labels: bool = False
    """The guide is asked for its choice at every learner step too."""
    branch: bool = False
    """At the state of step `switch` every allowed choice is tried once, and `then` acts at every later step of each
    try. The tries are `Branches` of the batch; the episode's own steps are those before `switch`."""

    def who(self, step: int) -> Who:
        """Who acts at `step`."""
        return self.first if step < self.switch else self.then


@dataclass(frozen=True)
class Branches:
    """States at which every choice was tried once, each try completed by the guide."""

    features: torch.Tensor
    """(states, features), float64."""
    returns: torch.Tensor
    """(states, choices), float64: Qhat(s, a), the discounted return of a try from its state on."""
    tried: torch.Tensor
    """(states, choices), bool: whether Qhat(s, a) is known."""


@dataclass(frozen=True)
class Batch:
    """Episodes in their order; an episode's valid steps come first, and steps that did not happen hold zeros."""

    features: torch.Tensor
    """(episodes, steps, features), float64."""
    actions: torch.Tensor
    """(episodes, steps), long: the choice made, whoever made it."""
    rewards: torch.Tensor
    """(episodes, steps), float64."""
    valid: torch.Tensor
    """(episodes, steps), bool."""
    final_features: torch.Tensor
    """(episodes, features): of the state after the last valid step."""
    truncated: torch.Tensor
    """(episodes,), bool: cut short, so the final state's value is bootstrapped."""
    by_learner: torch.Tensor
    """(episodes, steps), bool: the learner chose the action, not the guide."""
    labels: torch.Tensor
    """(episodes, steps), long: the guide's choice at that state; -1 where it was not asked or could not be read."""
    branches: Branches | None = None
    """None where no state was branched."""
    repeated_gains: torch.Tensor | None = None
    """(episodes, steps), float64: what is taken from the rewards in the advantage, since another episode had found the
    same; None where nothing is."""
