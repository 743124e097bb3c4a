"""The configuration of a reference term and of what steers its weight. Plain values."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from teams_dagster.policy.algorithms.base import FrozenConfig


class AdaptiveControllerConfig(FrozenConfig):
    """kappa (1 + gain clip((KL - target) / target)), as in Ziegler et al. 2019."""

    name: Literal["adaptive"] = "adaptive"
    gain: float = Field(default=0.1, gt=0, description="Share of the error by which kappa changes.")
    clip: float | None = Field(
        default=0.2, gt=0, description="The error counts as this at most, either way; none: whatever it is (TRIL)."
    )


class PIDControllerConfig(FrozenConfig):
    """A proportional-integral-derivative controller of the multiplier of KL <= target (Stooke et al. 2020)."""

    name: Literal["pid"] = "pid"
    proportional: float = Field(default=0.1, ge=0, description="kappa for each nat of error.")
    integral: float = Field(default=0.01, gt=0, description="kappa for each nat of error of every iteration so far.")
    derivative: float = Field(default=0.0, ge=0, description="kappa for each nat by which the KL rose.")


class BallControllerConfig(FrozenConfig):
    """Ascent of the multiplier of KL <= target by Adam; inside that ball it falls to 0."""

    name: Literal["ball"] = "ball"
    learning_rate: float = Field(default=0.01, gt=0, description="Adam's step size.")


CONTROLLERS = (AdaptiveControllerConfig, PIDControllerConfig, BallControllerConfig)
"""Every way to steer kappa."""

KLControllerConfig = Annotated[
    AdaptiveControllerConfig | PIDControllerConfig | BallControllerConfig, Field(discriminator="name")
]
"""How kappa is steered to a target."""


class KLReferenceConfig(FrozenConfig):
    """A price on leaving a reference policy: r~ = r - kappa (log pi_old(a|s) - log pi_ref(a|s)) on learner steps."""

    weight: float = Field(gt=0, description="kappa, at the beginning.")
    target: float | None = Field(
        default=None, gt=0, description="Mean KL(pi_old || pi_ref) that kappa is steered to; none: kappa stays."
    )
    controller: KLControllerConfig = Field(default=AdaptiveControllerConfig(), description="How kappa is steered.")

    @model_validator(mode="after")
    def _controllers_have_a_target(self) -> Self:
        if self.target is None and self.controller != AdaptiveControllerConfig():
            raise ValueError(f"controller is {self.controller.name}, and there is no target: give the KL to steer to")
        return self

    @model_serializer(mode="wrap")
    def _as_it_was(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the controller where it is the one of earlier versions: trained policies keep their version."""
        values: dict[str, Any] = handler(self)
        if self.controller == AdaptiveControllerConfig():
            values.pop("controller", None)
        return values
