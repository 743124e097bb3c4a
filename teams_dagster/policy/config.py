"""The configuration of policy training. Plain values: reading it needs no torch."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.environment.reward import RewardConfig
from teams_dagster.instructions.operations import Operation


class TRPOConfig(BaseModel):
    """Parameters of the update; defaults as in the reference where it had any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_kl: float = Field(default=0.05, gt=0, description="Radius of the trust region: mean KL(old || new).")
    damping: float = Field(default=0.1, ge=0, description="Multiple of the identity added to the Fisher matrix.")
    cg_iterations: int = Field(default=10, ge=1, description="Conjugate gradient steps.")
    cg_tolerance: float = Field(default=1e-10, ge=0, description="Squared residual at which they stop.")
    backtracks: int = Field(default=10, ge=1, description="Step sizes tried.")
    shrink: float = Field(default=0.5, gt=0, lt=1, description="Factor from one step size to the next.")
    accept_ratio: float = Field(default=0.1, ge=0, description="Least true improvement over the promised one.")


class CriticConfig(BaseModel):
    """Parameters of the value fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: int = Field(default=25, ge=1, description="L-BFGS iterations.")
    l2: float = Field(default=1e-3, ge=0, description="Weight of the sum of squared parameters in the loss.")


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
    critic: CriticConfig = CriticConfig()

    @property
    def allowed(self) -> np.ndarray:
        """Which operations the policy may choose: bool, shape (operations,)."""
        return np.array([self.allow_none or operation is not Operation.NONE for operation in Operation])
