"""The configuration of a token-level training. Plain values: reading it needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from teams_dagster.core.hashing import content_hash
from teams_dagster.policy.algorithms.base import FrozenConfig
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    D2LOLSConfig,
    KLReferenceConfig,
    LOLSConfig,
    PPOPlusPlusConfig,
)
from teams_dagster.rlgf.step_config import DiscriminatorConfig, TokenCriticConfig, TokenStepConfig
from teams_dagster.rlgf.token_algorithm_config import (
    BehaviourCloningConfig,
    ExpertIterationConfig,
    GAILConfig,
    GRPOConfig,
    OnlineDPOConfig,
    RLOOConfig,
    TokenDAggerConfig,
)

TokenForm = Literal["mask", "one_step"]
"""`mask`: every token before the switch has a GAE advantage of the guide's value (TRIL's; biased unless GAE's lambda is
0); `one_step`: only the last of them, with the return of the guide's completion (exact, and one token a text)."""


class TokenPPOPlusPlusConfig(PPOPlusPlusConfig):
    """PPO++: with probability `beta` the guide begins a text; the learner goes on, and learns its own tokens."""

    step: TokenStepConfig = TokenStepConfig()  # pyright: ignore[reportIncompatibleVariableOverride]


class TokenAggreVaTeDConfig(AggreVaTeDConfig):
    """AggreVaTeD: with probability `beta` the learner begins a text and the guide completes it; else all is its."""

    step: TokenStepConfig = TokenStepConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    beta: float = Field(default=0.8, ge=0, le=1, description="Share of texts that the learner begins.")
    form: TokenForm = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="one_step", description="How advantages of the guide are estimated."
    )


class TokenLOLSConfig(LOLSConfig):
    """LOLS: each iteration is PPO++'s with probability `tau`, else AggreVaTeD's."""

    step: TokenStepConfig = TokenStepConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    beta_learner: float = Field(default=0.8, ge=0, le=1, description="PPO++'s beta.")
    form: TokenForm = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="one_step", description="AggreVaTeD's form."
    )


class TokenD2LOLSConfig(D2LOLSConfig):
    """D2LOLS: AggreVaTeD in the first `switch` iterations, PPO++ afterwards."""

    step: TokenStepConfig = TokenStepConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    beta_learner: float = Field(default=0.8, ge=0, le=1, description="PPO++'s beta.")
    form: TokenForm = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="one_step", description="AggreVaTeD's form."
    )


TokenAlgorithmConfig = Annotated[
    TokenStepConfig
    | TokenPPOPlusPlusConfig
    | TokenAggreVaTeDConfig
    | TokenLOLSConfig
    | TokenD2LOLSConfig
    | GRPOConfig
    | RLOOConfig
    | ExpertIterationConfig
    | BehaviourCloningConfig
    | TokenDAggerConfig
    | OnlineDPOConfig
    | GAILConfig,
    Field(discriminator="name"),
]
"""Every algorithm that a language model can be trained with, by `name`; `ppo` is the step by itself."""

TITLES: dict[str, str] = {
    each.model_fields["name"].default: each.title for each in get_args(get_args(TokenAlgorithmConfig)[0])
}
"""By name the algorithm as its authors write it."""


class DecodingConfig(FrozenConfig):
    """How tokens are drawn. Log-probabilities and KL are of all tokens, whatever `top_k` and `top_p` leave out."""

    temperature: float = Field(
        default=1.0, gt=0, description="Logits are divided by it, those that log-probabilities and KL are of too."
    )
    top_k: int | None = Field(default=None, ge=1, description="Only the most probable so many; none: all.")
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Only the most probable, until their sum reaches this; none: all."
    )


class WeightsConfig(FrozenConfig):
    """Which weights are trained."""

    kind: Literal["lora", "full"] = Field(
        default="lora", description="`lora`: an adapter each for policy and critics, on one base; `full`: copies of it."
    )
    rank: int = Field(default=8, ge=1, description="Rank of an adapter's matrices.")
    alpha: int = Field(default=64, ge=1, description="Scale of an adapter, divided by the rank.")
    target_modules: str | list[str] = Field(default="all-linear", description="The layers that get one (PEFT's names).")
    gradient_checkpointing: bool = Field(
        default=False, description="Compute layers again in the backward pass: less memory at long texts, more time."
    )


class RLGFConfig(FrozenConfig):
    """Everything that decides a token-level training besides the model, the task and the guide."""

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    algorithm: TokenAlgorithmConfig = TokenPPOPlusPlusConfig()
    iterations: int = Field(default=50, ge=1, description="Batches of texts, each with its update.")
    texts: int = Field(default=32, ge=1, description="Texts a batch.")
    max_new_tokens: int = Field(default=32, ge=1, description="Tokens of a text at most; a longer one is cut off.")
    decoding: DecodingConfig = DecodingConfig()
    guide_decoding: DecodingConfig = DecodingConfig(top_k=50, top_p=0.92)
    weights: WeightsConfig = WeightsConfig()
    critic: TokenCriticConfig = TokenCriticConfig()
    gamma: float = Field(default=1.0, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda.")
    kl_reference: KLReferenceConfig | None = Field(
        default=KLReferenceConfig(weight=0.01), description="A price on leaving the base; None: none."
    )
    at_once: int = Field(default=8, ge=1, description="Texts computed at once: memory, not results but for noise.")
    checkpoint_every: int = Field(default=5, ge=1, description="Iterations between checkpoints.")
    most_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that learner and guide may write together: the batch that reaches them is the last; none:"
        " any number.",
    )
    most_queries: int | None = Field(
        default=None,
        ge=1,
        description="Queries to guide and judge that batches may take together, those answered before included: the"
        " batch that reaches them is the last; none: any number. Evaluations are not counted.",
    )
    evaluation_texts: int = Field(default=1, ge=1, description="Texts measured after each evaluation prompt.")
    evaluate_every: int = Field(default=0, ge=0, description="Iterations between evaluations; 0: before and after.")

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if self.texts % self.group:
            raise ValueError(f"texts is {self.texts}: give a multiple of the algorithm's group, which is {self.group}")
        return self

    @model_validator(mode="after")
    def _phases_are_reached(self) -> Self:
        if isinstance(self.algorithm, TokenD2LOLSConfig) and self.algorithm.switch >= self.iterations:
            raise ValueError(
                f"d2lols changes to PPO++ after {self.algorithm.switch} iterations, and there are {self.iterations}:"
                " give it a smaller `switch`, or more `iterations`"
            )
        return self

    @property
    def step(self) -> TokenStepConfig:
        """How the algorithm moves the policy."""
        algorithm = self.algorithm
        return algorithm if isinstance(algorithm, TokenStepConfig) else algorithm.step

    @property
    def discriminator(self) -> DiscriminatorConfig | None:
        """How a discriminator is fitted; None where the algorithm has none."""
        return getattr(self.algorithm, "discriminator", None)

    @property
    def group(self) -> int:
        """Texts of each prompt in a batch."""
        return getattr(self.algorithm, "group", 1)

    @property
    def pairs(self) -> bool:
        """Whether all that is learnt of a batch is which of a prompt's two texts is better."""
        return isinstance(self.algorithm, OnlineDPOConfig)

    @property
    def prompts_a_batch(self) -> int:
        """Different prompts of a batch."""
        return self.texts // self.group

    @property
    def version(self) -> str:
        """A hash of all that decides the weights: a checkpoint of another version is not gone on from."""
        aside = {"checkpoint_every", "evaluate_every", *(("most_queries",) if self.most_queries is None else ())}
        return content_hash("rlgf", self.model_dump_json(exclude=aside))
