"""What the configuration of an algorithm says of it. Plain values: reading it needs no torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from teams_dagster.policy.algorithms.algorithm import Algorithm


class Steps(NamedTuple):
    """Steps of an episode and its branches, as far as can be expected."""

    everyone: float
    """Each asks for an edit and its review."""
    guide: float
    """Taken by the guide, which each asks."""
    labels: float = 0.0
    """Taken by the learner, each with the guide's word beside."""

    def mixed(self, other: Steps, share: float) -> Steps:
        """These with probability `share`, else `other`."""
        return Steps(*(share * one + (1 - share) * two for one, two in zip(self, other, strict=True)))


LABELLED = "labelled."
"""How the tensors begin that hold what imitation has learnt from."""

CriticName = Literal["learner", "guide"]
"""Whose value a critic learns."""


class FrozenConfig(BaseModel):
    """Unchangeable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AdamSettings(Protocol):
    """What Adam needs to know."""

    @property
    def learning_rate(self) -> float:
        """Step size."""
        ...

    @property
    def adam_epsilon(self) -> float:
        """Added to the root of the second moment."""
        ...


class BaseAlgorithmConfig(FrozenConfig):
    """The configuration of one algorithm.

    A new algorithm is a module with a subclass, registered in `config.AlgorithmConfig`. Beside its parameters the
    subclass has a field `name: Literal["..."]`, a `title` and `build`; the other properties have the values of an
    algorithm whose learner acts alone, with a critic and without an optimiser of its own.
    """

    title: ClassVar[str]
    """The algorithm as its authors write it."""

    @abstractmethod
    def build(self, root_seed: int) -> Algorithm:
        """The algorithm; its random draws are keyed by `root_seed`. Torch is imported here at the earliest."""

    @property
    def asks_guide(self) -> bool:
        """Whether any episode of a training may need the guide."""
        return False

    @property
    def learner_acts(self) -> bool:
        """Whether the policy itself acts in a training."""
        return True

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        """Steps of an episode of `iteration`, of at most `horizon`, with so many `choices` at each."""
        return Steps(horizon, 0, horizon if self.asks_guide else 0)

    @property
    def tries_every_choice(self) -> bool:
        """Whether an episode may become one for each choice at a state."""
        return False

    @property
    def second_derivatives(self) -> bool:
        """Whether it takes those of the policy, over all states of a batch at once."""
        return False

    @property
    def critics(self) -> tuple[CriticName, ...]:
        """The critics that it uses."""
        return ("learner",)

    @property
    def policy_optimiser(self) -> AdamSettings | None:
        """The settings of the Adam that moves the policy; None where none does."""
        return None
