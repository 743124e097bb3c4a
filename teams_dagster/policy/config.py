"""The configuration of policy training. Plain values: reading it needs no torch."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.operations import Operation
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    AlgorithmConfig,
    CriticConfig,
    D2LOLSConfig,
    KLReferenceConfig,
    LBFGSCriticConfig,
    LOLSConfig,
    PPOConfig,
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
        return not isinstance(self.algorithm, TRPOConfig | PPOConfig)

    @property
    def most_queries_an_episode(self) -> int:
        """Questions of one episode, its branches included, at most."""
        steps = 2 * HORIZON
        if not self.asks_guide:
            return steps
        guided = steps + GUIDE_ATTEMPTS * HORIZON
        if (
            isinstance(self.algorithm, AggreVaTeDConfig | LOLSConfig | D2LOLSConfig)
            and self.algorithm.form == "enumerated"
        ):
            return len(self.allowed_operations) * guided
        return guided

    def iterations_within(self, queries: int) -> int:
        """How many iterations so many questions are enough for; at least 1."""
        return max(1, queries // (self.episodes_per_iteration * self.most_queries_an_episode))
