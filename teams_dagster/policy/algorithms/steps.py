"""TRPO and PPO, which are algorithms by themselves and the step by which other algorithms move the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from teams_dagster.policy.algorithms.base import AdamSettings, BaseAlgorithmConfig

if TYPE_CHECKING:
    from teams_dagster.policy.algorithms.algorithm import Algorithm


class TRPOConfig(BaseAlgorithmConfig):
    """Trust region policy optimisation: one step a batch, its size found by a line search.

    sb3-contrib's conventions are `cg_iterations` 15, `shrink` 0.8, `accept_ratio` 0 and `line_search_kl` `new_old`.
    """

    title: ClassVar[str] = "TRPO"

    name: Literal["trpo"] = "trpo"
    max_kl: float = Field(default=0.2, gt=0, description="Radius of the trust region: mean KL over the trained steps.")
    damping: float = Field(default=0.1, ge=0, description="Multiple of the identity added to the Fisher matrix.")
    cg_iterations: int = Field(default=10, ge=1, description="Conjugate gradient steps.")
    cg_tolerance: float = Field(default=1e-10, ge=0, description="Squared residual at which they stop.")
    backtracks: int = Field(default=10, ge=1, description="Step sizes tried.")
    shrink: float = Field(default=0.5, gt=0, lt=1, description="Factor from one step size to the next.")
    accept_ratio: float = Field(
        default=0.1, ge=0, description="Least true improvement over the promised one; 0 accepts any improvement."
    )
    line_search_kl: Literal["old_new", "new_old"] = Field(
        default="old_new",
        description="The KL that a step may not exceed: KL(old || new), the paper's, or KL(new || old), sb3-contrib's.",
    )

    @property
    def second_derivatives(self) -> bool:
        return True

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.on_policy import OnPolicy

        return OnPolicy(self, root_seed)


class PPOConfig(BaseAlgorithmConfig):
    """Proximal policy optimisation: several passes of minibatch Adam steps over a batch.

    sb3's conventions are `normalise` `minibatch`, `learning_rate` 3e-4, `epochs` 10 and `max_gradient_norm` 0.5.
    """

    title: ClassVar[str] = "PPO"

    name: Literal["ppo"] = "ppo"
    learning_rate: float = Field(default=3e-3, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of Adam's second moment.")
    epochs: int = Field(default=10, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=64, ge=0, description="Trained steps a minibatch; 0: all of them.")
    clip: float = Field(default=0.2, gt=0, description="Likelihood ratios beyond 1 +- this earn nothing more.")
    entropy_weight: float = Field(default=0.0, ge=0, description="Weight of the mean entropy (nats) in the objective.")
    target_kl: float | None = Field(
        default=None,
        gt=0,
        description="Stop where a minibatch's mean of ratio - 1 - log ratio exceeds 1.5 times this; none: never.",
    )
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Longer gradients are scaled down to this length; none: never."
    )
    normalise: Literal["batch", "minibatch"] = Field(
        default="batch",
        description="Over what advantages get mean 0 and deviation 1: the batch's trained steps (population deviation),"
        " or each minibatch as in sb3 (sample deviation; a minibatch of one step stays as it is).",
    )
    imitation_weight: float = Field(
        default=0.0, ge=0, description="Weight of -mean log pi(guide's choice | s) over guide-labelled states (c_BC)."
    )

    @property
    def asks_guide(self) -> bool:
        return self.imitation_weight > 0

    @property
    def policy_optimiser(self) -> AdamSettings:
        return self

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.on_policy import OnPolicy

        return OnPolicy(self, root_seed)


StepConfig = Annotated[TRPOConfig | PPOConfig, Field(discriminator="name")]
"""How a policy is moved along estimated advantages."""
