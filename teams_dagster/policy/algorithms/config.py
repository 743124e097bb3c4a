"""The configuration of every algorithm. Plain values: reading it needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Config(BaseModel):
    """Unchangeable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TRPOConfig(_Config):
    """Trust region policy optimisation: one step a batch, its size found by a line search.

    sb3-contrib's conventions are `cg_iterations` 15, `shrink` 0.8, `accept_ratio` 0 and `line_search_kl` `new_old`.
    """

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


class PPOConfig(_Config):
    """Proximal policy optimisation: several passes of minibatch Adam steps over a batch.

    sb3's conventions are `normalise` `minibatch`, `learning_rate` 3e-4, `epochs` 10 and `max_gradient_norm` 0.5.
    """

    name: Literal["ppo"] = "ppo"
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of Adam's second moment.")
    epochs: int = Field(default=5, ge=1, description="Passes over the batch.")
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


StepConfig = Annotated[TRPOConfig | PPOConfig, Field(discriminator="name")]
"""How a policy is moved along estimated advantages."""


class LBFGSCriticConfig(_Config):
    """The value fit of TeaMs-RL: L-BFGS on the whole batch, afresh at each update."""

    optimiser: Literal["lbfgs"] = "lbfgs"
    iterations: int = Field(default=10, ge=1, description="L-BFGS iterations (the reference: 25).")
    l2: float = Field(default=1e-3, ge=0, description="Weight of the sum of squared parameters in the loss.")
    targets: Literal["returns", "gae"] = Field(
        default="returns",
        description="What V is fitted to: discounted returns (bootstrapped where truncated), or A + V of GAE.",
    )


class AdamCriticConfig(_Config):
    """The value fit of PPO: several passes of minibatch Adam steps.

    sb3's conventions are `clip_takes_max` and `half` false.
    """

    optimiser: Literal["adam"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of Adam's second moment.")
    epochs: int = Field(default=5, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=64, ge=0, description="Steps a minibatch; 0: all of them.")
    value_clip: float | None = Field(
        default=None, gt=0, description="Values count as moved by at most this from those before the fit; none: freely."
    )
    clip_takes_max: bool = Field(
        default=True, description="With `value_clip`, take the larger of both losses (TRIL) or the clipped one (sb3)."
    )
    half: bool = Field(default=True, description="Whether the squared error is halved.")
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Longer gradients are scaled down to this length; none: never."
    )
    targets: Literal["returns", "gae"] = Field(
        default="gae",
        description="What V is fitted to: discounted returns (bootstrapped where truncated), or A + V of GAE.",
    )


CriticConfig = Annotated[LBFGSCriticConfig | AdamCriticConfig, Field(discriminator="optimiser")]
"""How a critic is fitted."""


class PPOPlusPlusConfig(_Config):
    """PPO++ (Chang et al. 2023): the guide rolls in, the learner takes over and learns its own steps."""

    name: Literal["ppo_plus_plus"] = "ppo_plus_plus"
    beta: float = Field(default=0.8, ge=0, le=1, description="Share of episodes that the guide begins.")
    step: StepConfig = PPOConfig()


AggreVaTeDForm = Literal["mask", "one_step", "enumerated"]
"""`mask`: every step before the switch has a GAE advantage of the guide's value; `one_step`: only the last of them,
with the guide's return; `enumerated`: every choice of one state is tried and completed by the guide."""


class AggreVaTeDConfig(_Config):
    """AggreVaTeD (Sun et al. 2017): the learner rolls in, the guide completes; the learner improves on the guide."""

    name: Literal["aggrevated"] = "aggrevated"
    beta: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of episodes that the learner begins; the others are the guide's and train V of the guide"
        " alone, so that with form `enumerated`, which needs none, 1 wastes no episode.",
    )
    form: AggreVaTeDForm = Field(
        default="one_step",
        description="How advantages of the guide are estimated: `mask` (as TRIL, biased unless GAE's lambda is 0),"
        " `one_step` (exact) or `enumerated` (exact, least variance, several completions an episode).",
    )
    step: StepConfig = PPOConfig()


class LOLSConfig(_Config):
    """LOLS (Chang et al. 2015): each iteration is one of PPO++ or, else, of AggreVaTeD."""

    name: Literal["lols"] = "lols"
    beta_learner: float = Field(default=0.8, ge=0, le=1, description="PPO++'s beta.")
    beta_guide: float = Field(default=0.8, ge=0, le=1, description="AggreVaTeD's beta.")
    tau: float = Field(default=0.8, ge=0, le=1, description="Probability that an iteration is PPO++'s.")
    form: AggreVaTeDForm = Field(default="one_step", description="AggreVaTeD's form.")
    step: StepConfig = PPOConfig()


class D2LOLSConfig(_Config):
    """D2LOLS (Chang et al. 2023): AggreVaTeD first, PPO++ afterwards."""

    name: Literal["d2lols"] = "d2lols"
    beta_learner: float = Field(default=0.8, ge=0, le=1, description="PPO++'s beta.")
    beta_guide: float = Field(default=0.8, ge=0, le=1, description="AggreVaTeD's beta.")
    switch: int = Field(default=10, ge=0, description="Iterations of AggreVaTeD; 20-40% of all is the usual share.")
    form: AggreVaTeDForm = Field(default="one_step", description="AggreVaTeD's form.")
    step: StepConfig = PPOConfig()


class _ImitationConfig(_Config):
    """Minibatch Adam steps on the likelihood of the guide's choices."""

    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of Adam's second moment.")
    epochs: int = Field(default=5, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=64, ge=0, description="Labelled states a minibatch; 0: all of them.")
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Longer gradients are scaled down to this length; none: never."
    )


class BCConfig(_ImitationConfig):
    """Behaviour cloning: learn the guide's choices on states that the guide visits."""

    name: Literal["bc"] = "bc"


class DAggerConfig(_ImitationConfig):
    """DAgger (Ross et al. 2011): learn the guide's choices on states that the learner visits.

    In its online form: each iteration's states train the policy in their iteration, and none is kept.
    """

    name: Literal["dagger"] = "dagger"
    guide_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="The guide acts an episode of iteration i with this probability to the power i; 0 (the paper's"
        " parameter-free choice): in the first iteration only.",
    )


AlgorithmConfig = Annotated[
    TRPOConfig | PPOConfig | PPOPlusPlusConfig | AggreVaTeDConfig | LOLSConfig | D2LOLSConfig | BCConfig | DAggerConfig,
    Field(discriminator="name"),
]
"""Every algorithm that a policy can be trained with."""


class KLReferenceConfig(_Config):
    """A price on leaving a reference policy: r~ = r - kappa (log pi_old(a|s) - log pi_ref(a|s)) on learner steps."""

    weight: float = Field(gt=0, description="kappa, at the beginning.")
    target: float | None = Field(
        default=None,
        gt=0,
        description="Mean KL(pi_old || pi_ref) that kappa steers to, by at most 2% an iteration; none: fixed.",
    )
