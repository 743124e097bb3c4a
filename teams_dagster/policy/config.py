"""The configuration of policy training. Plain values: reading it needs no torch."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.environment.reward import RewardConfig
from teams_dagster.instructions.operations import Operation
from teams_dagster.policy.algorithms.config import LBFGSCriticConfig, TRPOConfig


class TrainingConfig(BaseModel):
    """Everything that decides a training run besides its seeds and the models that answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int = Field(default=32, ge=1, description="Updates of the policy.")
    episodes_per_iteration: int = Field(
        default=64, ge=32, description="Episodes a batch, from different seeds where there are as many."
    )
    hidden: tuple[int, ...] = Field(default=(64,), min_length=1, description="Sizes of the tanh layers.")
    gamma: float = Field(default=0.99, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda (the reference's tau).")
    allow_none: bool = Field(default=True, description="Whether the policy may keep the text and ask nothing.")
    reward: RewardConfig = RewardConfig()
    trpo: TRPOConfig = TRPOConfig()
    critic: LBFGSCriticConfig = LBFGSCriticConfig()

    @property
    def allowed(self) -> np.ndarray:
        """Which operations the policy may choose: bool, shape (operations,)."""
        return np.array([self.allow_none or operation is not Operation.NONE for operation in Operation])
