"""The configuration of every algorithm. Plain values: reading it needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field

from teams_dagster.policy.algorithms.base import AdamSettings, BaseAlgorithmConfig, CriticName, FrozenConfig, Steps
from teams_dagster.policy.algorithms.controller_config import KLReferenceConfig as KLReferenceConfig
from teams_dagster.policy.algorithms.steps import PPOConfig, StepConfig, TRPOConfig

if TYPE_CHECKING:
    from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD
    from teams_dagster.policy.algorithms.algorithm import Algorithm
    from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus


class LBFGSCriticConfig(FrozenConfig):
    """The value fit of TeaMs-RL: L-BFGS on the whole batch, afresh at each update."""

    optimiser: Literal["lbfgs"] = "lbfgs"
    iterations: int = Field(default=10, ge=1, description="L-BFGS iterations (the reference: 25).")
    l2: float = Field(default=1e-3, ge=0, description="Weight of the sum of squared parameters in the loss.")
    targets: Literal["returns", "gae"] = Field(
        default="returns",
        description="What V is fitted to: discounted returns (bootstrapped where truncated), or A + V of GAE.",
    )


class AdamCriticConfig(FrozenConfig):
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


class _GuidedConfig(BaseAlgorithmConfig):
    """An algorithm that moves the policy by the step of another one."""

    step: StepConfig = PPOConfig()

    @property
    def second_derivatives(self) -> bool:
        return self.step.second_derivatives

    @property
    def policy_optimiser(self) -> AdamSettings | None:
        return self.step.policy_optimiser


class PPOPlusPlusConfig(_GuidedConfig):
    """PPO++ (Chang et al. 2023): the guide rolls in, the learner takes over and learns its own steps."""

    title: ClassVar[str] = "PPO++"

    name: Literal["ppo_plus_plus"] = "ppo_plus_plus"
    step: StepConfig = PPOConfig(learning_rate=1e-2)
    beta: float = Field(default=0.8, ge=0, le=1, description="Share of episodes that the guide begins.")

    @property
    def asks_guide(self) -> bool:
        return self.beta > 0 or self.step.asks_guide

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        return guide_begins(self.beta, horizon)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus

        return PPOPlusPlus(self.beta, self.step, root_seed)


def guide_begins(beta: float, horizon: int) -> Steps:
    """Of PPO++: with probability `beta` the guide takes 1 to horizon - 1 steps, each as likely."""
    return Steps(horizon, beta * horizon / 2)


AggreVaTeDForm = Literal["mask", "one_step", "enumerated"]
"""`mask`: every step before the switch has a GAE advantage of the guide's value; `one_step`: only the last of them,
with the guide's return; `enumerated`: every choice of one state is tried and completed by the guide."""


def guide_completes(beta: float, form: AggreVaTeDForm, horizon: int, choices: int) -> Steps:
    """Of AggreVaTeD: with probability 1 - `beta` the guide takes every step, else those after the switch."""
    if form == "enumerated":
        before = (horizon - 1) / 2
        begun = Steps(before + choices * (horizon - before), choices * (horizon - 1 - before))
    else:
        begun = Steps(horizon, (horizon - 1) / 2)
    return begun.mixed(Steps(horizon, horizon), beta)


class AggreVaTeDConfig(_GuidedConfig):
    """AggreVaTeD (Sun et al. 2017): the learner rolls in, the guide completes; the learner improves on the guide."""

    title: ClassVar[str] = "AggreVaTeD"

    name: Literal["aggrevated"] = "aggrevated"
    step: StepConfig = PPOConfig(learning_rate=1e-2, epochs=40)
    beta: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of episodes that the learner begins; the others are the guide's and train V of the guide"
        " alone, so that with form `enumerated`, which needs none, 1 wastes no episode.",
    )
    form: AggreVaTeDForm = Field(
        default="enumerated",
        description="How advantages of the guide are estimated: `mask` (as TRIL, biased unless GAE's lambda is 0),"
        " `one_step` (exact) or `enumerated` (exact, least variance, several completions an episode).",
    )

    @property
    def asks_guide(self) -> bool:
        return True

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        return guide_completes(self.beta, self.form, horizon, choices)

    @property
    def tries_every_choice(self) -> bool:
        return self.form == "enumerated"

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return () if self.form == "enumerated" else ("guide",)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD

        return AggreVaTeD(self.beta, self.form, self.step, root_seed)


class _TwoPhasesConfig(_GuidedConfig):
    """An algorithm whose iterations are PPO++'s or AggreVaTeD's, each with its own critic."""

    beta_learner: float = Field(default=0.8, ge=0, le=1, description="PPO++'s beta.")
    beta_guide: float = Field(default=0.8, ge=0, le=1, description="AggreVaTeD's beta.")
    form: AggreVaTeDForm = Field(default="mask", description="AggreVaTeD's form.")

    @property
    def tries_every_choice(self) -> bool:
        return self.form == "enumerated"

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return ("learner",) if self.form == "enumerated" else ("learner", "guide")

    def phases(self, root_seed: int) -> tuple[PPOPlusPlus, AggreVaTeD]:
        """Both algorithms."""
        from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD
        from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus

        return (
            PPOPlusPlus(self.beta_learner, self.step, root_seed),
            AggreVaTeD(self.beta_guide, self.form, self.step, root_seed),
        )


class LOLSConfig(_TwoPhasesConfig):
    """LOLS (Chang et al. 2015): each iteration is one of PPO++ or, else, of AggreVaTeD."""

    title: ClassVar[str] = "LOLS"

    name: Literal["lols"] = "lols"
    step: StepConfig = PPOConfig(learning_rate=5e-3)
    beta_learner: float = Field(default=0.4, ge=0, le=1, description="PPO++'s beta.")
    tau: float = Field(default=0.8, ge=0, le=1, description="Probability that an iteration is PPO++'s.")

    @property
    def asks_guide(self) -> bool:
        return self.tau < 1 or self.beta_learner > 0 or self.step.asks_guide

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        guides = guide_completes(self.beta_guide, self.form, horizon, choices)
        return guide_begins(self.beta_learner, horizon).mixed(guides, self.tau)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.lols import LOLS

        return LOLS(*self.phases(root_seed), self.tau, root_seed)


class D2LOLSConfig(_TwoPhasesConfig):
    """D2LOLS (Chang et al. 2023): AggreVaTeD first, PPO++ afterwards."""

    title: ClassVar[str] = "D2LOLS"

    name: Literal["d2lols"] = "d2lols"
    beta_learner: float = Field(default=0.0, ge=0, le=1, description="PPO++'s beta; 0: PPO, without the guide.")
    switch: int = Field(default=4, ge=0, description="Iterations of AggreVaTeD; 20-40% of all is the usual share.")

    @property
    def asks_guide(self) -> bool:
        return self.switch > 0 or self.beta_learner > 0 or self.step.asks_guide

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        if iteration < self.switch:
            return guide_completes(self.beta_guide, self.form, horizon, choices)
        return guide_begins(self.beta_learner, horizon)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.d2lols import D2LOLS

        return D2LOLS(*self.phases(root_seed), self.switch)


class _ImitationConfig(BaseAlgorithmConfig):
    """Minibatch Adam steps on the likelihood of the guide's choices."""

    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-5, gt=0, description="Added to the root of Adam's second moment.")
    epochs: int = Field(default=5, ge=1, description="Passes over the batch.")
    minibatch: int = Field(default=64, ge=0, description="Labelled states a minibatch; 0: all of them.")
    max_gradient_norm: float | None = Field(
        default=1.0, gt=0, description="Longer gradients are scaled down to this length; none: never."
    )

    @property
    def asks_guide(self) -> bool:
        return True

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return ()

    @property
    def policy_optimiser(self) -> AdamSettings:
        return self


class BCConfig(_ImitationConfig):
    """Behaviour cloning: learn the guide's choices on states that the guide visits."""

    title: ClassVar[str] = "behaviour cloning"

    name: Literal["bc"] = "bc"

    @property
    def learner_acts(self) -> bool:
        return False

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        return Steps(horizon, horizon)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.imitation import Imitation

        return Imitation(self, root_seed)


class DAggerConfig(_ImitationConfig):
    """DAgger (Ross et al. 2011): learn the guide's choices on states that the learner visits.

    Each iteration trains on the states of all iterations so far.
    """

    title: ClassVar[str] = "DAgger"

    name: Literal["dagger"] = "dagger"
    guide_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="The guide acts an episode of iteration i with this probability to the power i; 0 (the paper's"
        " parameter-free choice): in the first iteration only.",
    )

    def expected_steps(self, iteration: int, horizon: int, choices: int) -> Steps:
        return Steps(horizon, horizon).mixed(Steps(horizon, 0, horizon), self.guide_decay**iteration)

    def build(self, root_seed: int) -> Algorithm:
        from teams_dagster.policy.algorithms.imitation import Imitation

        return Imitation(self, root_seed)


AlgorithmConfig = Annotated[
    TRPOConfig | PPOConfig | PPOPlusPlusConfig | AggreVaTeDConfig | LOLSConfig | D2LOLSConfig | BCConfig | DAggerConfig,
    Field(discriminator="name"),
]
"""Every algorithm that a policy can be trained with. A new one is its module and its name here."""

ALGORITHMS: tuple[type[BaseAlgorithmConfig], ...] = get_args(get_args(AlgorithmConfig)[0])
"""The same as classes, in their order."""
