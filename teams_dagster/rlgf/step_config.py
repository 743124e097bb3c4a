"""How policy, critics and discriminator are moved, each by an AdamW of its own. Plain values."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from teams_dagster.policy.algorithms.base import FrozenConfig
from teams_dagster.policy.algorithms.config import AdamCriticConfig
from teams_dagster.policy.algorithms.steps import PPOConfig

Schedule = Literal["linear", "constant"]
"""How a learning rate falls over the iterations: to 0 after the last one, or not at all."""


class TokenStepConfig(PPOConfig):
    """How the policy is moved: PPO's clipped surrogate under AdamW, minibatches of whole texts."""

    learning_rate: float = Field(default=1e-5, gt=0, description="AdamW's step size at the beginning.")
    weight_decay: float = Field(default=1e-6, ge=0, description="AdamW's; matrices alone decay.")
    schedule: Schedule = Field(default="linear", description="How the step size falls over the iterations.")
    epochs: int = Field(default=4, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=16, ge=0, description="Texts a minibatch; 0: all of them.")
    imitation_weight: Literal[0] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=0, description="Always 0: texts have no guide-labelled states."
    )
    target_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of -mean log pi of the tokens of the task's references (target regularisation).",
    )


class TokenCriticConfig(AdamCriticConfig):
    """How a critic is fitted: the clipped squared error under AdamW, minibatches of whole texts."""

    learning_rate: float = Field(default=1e-5, gt=0, description="AdamW's step size at the beginning.")
    head_learning_rate: float = Field(default=1e-3, gt=0, description="The same for the value head, which begins at 0.")
    weight_decay: float = Field(default=1e-6, ge=0, description="AdamW's; matrices alone decay.")
    schedule: Schedule = Field(default="linear", description="How the step size falls over the iterations.")
    epochs: int = Field(default=4, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=16, ge=0, description="Texts a minibatch; 0: all of them.")
    value_clip: float | None = Field(
        default=0.2, gt=0, description="Values count as moved by at most this from those before the fit; none: freely."
    )


class DiscriminatorConfig(FrozenConfig):
    """How a discriminator is fitted: the logistic loss under AdamW, minibatches of whole texts, classes alike."""

    learning_rate: float = Field(default=1e-5, gt=0, description="AdamW's step size at the beginning.")
    head_learning_rate: float = Field(default=1e-3, gt=0, description="The same for its head, which begins at 0.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of AdamW's second moment.")
    weight_decay: float = Field(default=1e-6, ge=0, description="AdamW's; matrices alone decay.")
    schedule: Schedule = Field(default="linear", description="How the step size falls over the iterations.")
    epochs: int = Field(default=1, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=16, ge=0, description="Texts a minibatch; 0: all of them.")
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Longer gradients are scaled down to this length; none: never."
    )


FitConfig = TokenStepConfig | TokenCriticConfig | DiscriminatorConfig
"""How one set of weights is moved."""
