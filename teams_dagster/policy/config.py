"""The configuration of policy training. Plain values: reading it needs no torch."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON
from teams_dagster.policy.algorithms.config import (
    AlgorithmConfig,
    CriticConfig,
    D2LOLSConfig,
    KLReferenceConfig,
    LBFGSCriticConfig,
    TRPOConfig,
)
from teams_dagster.policy.encoder import FeatureConfig
from teams_dagster.policy.guide import ATTEMPTS as GUIDE_ATTEMPTS


class TrainingConfig(BaseModel):
    """Everything that decides a training run besides its seeds and the models that answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int = Field(default=26, ge=1, description="Updates of the policy at most.")
    episodes_per_iteration: int = Field(
        default=32, ge=32, description="Episodes a batch, from different seeds where there are as many."
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Iterations without a better mean return (of SMOOTHED iterations) after which it stops; 0: never.",
    )
    hidden: tuple[int, ...] = Field(default=(64,), min_length=1, description="Sizes of the tanh layers.")
    gamma: float = Field(default=0.9, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda (the reference's tau).")
    allow_none: bool = Field(default=True, description="Whether the policy may keep the text and ask nothing.")
    reward: RewardConfig = RewardConfig()
    features: FeatureConfig = FeatureConfig()
    algorithm: AlgorithmConfig = TRPOConfig()
    critic: CriticConfig = LBFGSCriticConfig()
    kl_reference: KLReferenceConfig | None = Field(
        default=None, description="A price on moving away from a reference policy; None: none."
    )

    @model_validator(mode="after")
    def _phases_are_reached(self) -> Self:
        if isinstance(self.algorithm, D2LOLSConfig) and self.algorithm.switch >= self.iterations:
            raise ValueError(
                f"d2lols changes to PPO++ after {self.algorithm.switch} iterations, and there are {self.iterations}:"
                " give it a smaller `switch`, or more `iterations`"
            )
        if self.patience and self.asks_guide:
            raise ValueError(
                f"patience {self.patience} watches the return of episodes in which the guide acts too: leave it out"
                f" with {self.algorithm.name}"
            )
        return self

    @property
    def allowed_operations(self) -> tuple[Operation, ...]:
        """Which operations the policy may choose."""
        return tuple(operation for operation in Operation if self.allow_none or operation is not Operation.NONE)

    @property
    def allowed(self) -> np.ndarray:
        """The same as a mask: bool, shape (operations,)."""
        return np.array([operation in self.allowed_operations for operation in Operation])

    @property
    def asks_guide(self) -> bool:
        """Whether the algorithm needs the guide."""
        return self.algorithm.asks_guide

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who is asked in a training."""
        return (Role.INSTRUCTOR, Role.REVIEWER, *((Role.GUIDE,) if self.asks_guide else ()))

    @property
    def most_queries_an_episode(self) -> int:
        """Queries of one episode, its branches included, at most."""
        return most_queries(self.algorithm, len(self.allowed_operations), self.reward)


def most_queries(algorithm: AlgorithmConfig, choices: int, reward: RewardConfig) -> int:
    """Queries of one episode of a training, its branches included, at most; of so many `choices` at each step."""
    steps = reward.queries_an_episode + (GUIDE_ATTEMPTS * HORIZON if algorithm.asks_guide else 0)
    return most_branches(algorithm, choices) * steps


def most_branches(algorithm: AlgorithmConfig, choices: int) -> int:
    """Episodes that one of a training comes to at most: each choice is tried where the algorithm enumerates them."""
    return choices if algorithm.tries_every_choice else 1
