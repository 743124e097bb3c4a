"""Who acts at which step of an episode."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
