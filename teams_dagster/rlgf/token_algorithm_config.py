"""The configurations of algorithms that only token-level training has. Plain values."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from teams_dagster.policy.algorithms.base import CriticName, FrozenConfig
from teams_dagster.rlgf.step_config import DiscriminatorConfig, TokenStepConfig

LIKELIHOOD_UNUSED = ("clip", "entropy_weight", "target_kl", "normalise", "target_weight")
"""What says how advantages are followed: learning texts by their likelihood has none."""


class _TokenAlgorithmConfig(FrozenConfig):
    """An algorithm that only token-level training has, without a critic unless it names one."""

    title: ClassVar[str]
    unused: ClassVar[tuple[str, ...]]
    """Settings of `step` that the update does not read: another value than the default is refused."""

    step: TokenStepConfig = TokenStepConfig()

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        for name in self.unused:
            value = getattr(self.step, name)
            if value != TokenStepConfig.model_fields[name].default:
                raise ValueError(f"{self.title} does not use step.{name}, which is {value}: leave it out")
        return self

    @property
    def asks_guide(self) -> bool:
        return False

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return ()


class _GroupConfig(_TokenAlgorithmConfig):
    """Several texts of each prompt are judged by each other. TRL's defaults take one pass over the whole batch."""

    unused = ("normalise",)

    step: TokenStepConfig = TokenStepConfig(epochs=1, minibatch=0)
    group: int = Field(default=4, ge=2, description="Texts of each prompt; the batch is a multiple of it.")


class GRPOConfig(_GroupConfig):
    """GRPO (Shao et al. 2024): a text's advantage is its reward in deviations from the mean of its group."""

    title: ClassVar[str] = "GRPO"
    name: Literal["grpo"] = "grpo"


class RLOOConfig(_GroupConfig):
    """RLOO (Ahmadian et al. 2024): a text is one action, its advantage the reward less the mean of the others'."""

    title: ClassVar[str] = "RLOO"
    name: Literal["rloo"] = "rloo"


class ExpertIterationConfig(_TokenAlgorithmConfig):
    """Expert iteration (ReST, Gulcehre et al. 2023): sample, keep the best, learn their likelihood, repeat."""

    title: ClassVar[str] = "expert iteration"
    unused = LIKELIHOOD_UNUSED

    name: Literal["expert_iteration"] = "expert_iteration"
    group: int = Field(default=4, ge=2, description="Texts of each prompt; the batch is a multiple of it.")
    keep: float = Field(default=0.25, gt=0, le=1, description="Share of a prompt's texts that is kept, at least one.")


class BehaviourCloningConfig(_TokenAlgorithmConfig):
    """Behaviour cloning: learn the likelihood of the guide's texts; the prompt is not learnt."""

    title: ClassVar[str] = "behaviour cloning"
    unused = LIKELIHOOD_UNUSED

    name: Literal["bc"] = "bc"

    @property
    def asks_guide(self) -> bool:
        return True


class TokenDAggerConfig(_TokenAlgorithmConfig):
    """DAgger (Ross et al. 2011): the learner begins a text, the guide shows how it goes on, and that is learnt.

    How much the learner writes is uniform below the length that it wrote, so that all its states are met alike.
    """

    title: ClassVar[str] = "DAgger"
    unused = LIKELIHOOD_UNUSED

    name: Literal["dagger"] = "dagger"
    guide_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="The guide writes a whole text of iteration i with this probability to the power i; 0: in the first"
        " iteration only.",
    )
    memory: int = Field(
        default=512, ge=1, description="Texts that each iteration learns from, the latest of all so far; others go."
    )

    @property
    def asks_guide(self) -> bool:
        return True


class OnlineDPOConfig(_TokenAlgorithmConfig):
    """Online DPO (Guo et al. 2024): of two texts a prompt the one with more reward is preferred; equals teach nothing.

    A judge that is the reward compares the two with each other. The loss is DPO's (Rafailov et al. 2023) against the
    model before any training.
    """

    title: ClassVar[str] = "online DPO"
    unused = LIKELIHOOD_UNUSED

    name: Literal["online_dpo"] = "online_dpo"
    step: TokenStepConfig = TokenStepConfig(epochs=1)
    group: Literal[2] = Field(default=2, description="Always 2: texts come in pairs.")
    beta: float = Field(default=0.1, gt=0, description="Price on leaving the model before training: DPO's beta.")

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        if self.step.minibatch % 2:
            raise ValueError(
                f"step.minibatch is {self.step.minibatch}: online DPO takes pairs of texts, so make it even"
            )
        return self


class GAILConfig(_TokenAlgorithmConfig):
    """GAIL (Ho and Ermon 2016): the reward is a discriminator's, which learns to tell the guide's texts apart.

    The policy takes a step of PPO on the learner's texts before the discriminator learns from them.
    """

    title: ClassVar[str] = "GAIL"
    unused = ()

    name: Literal["gail"] = "gail"
    guide_share: float = Field(default=0.5, gt=0, lt=1, description="Share of the batch's texts that the guide writes.")
    reward: Literal["log_odds", "surprise"] = Field(
        default="log_odds",
        description="With D the discriminator's probability that a text is the guide's: `log_odds`: log D - log(1 - D)"
        " (Fu et al. 2018); `surprise`: -log(1 - D) (Ho and Ermon).",
    )
    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @property
    def asks_guide(self) -> bool:
        return True

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return ("learner",)
