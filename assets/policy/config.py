"""Run configuration of group `policy`: the method's own configurations, as the Launchpad shows them.

Each algorithm is one choice of `algorithm`, with its own parameters: `algorithm: {ppo: {clip: 0.1}}`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from assets.materialize import AssetConfig
from assets.run_config import one_of, run_config
from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.policy.algorithms import config as method
from teams_dagster.policy.algorithms.controller_config import CONTROLLERS, AdaptiveControllerConfig
from teams_dagster.policy.baselines import ROUND_ROBIN, UNIFORM, baseline_names
from teams_dagster.policy.comparison.compare import ComparisonConfig, check_room, default_questions
from teams_dagster.policy.comparison.plan import (
    COMPARED,
    EMBEDDED_TRAINING_SEEDS,
    GUIDES,
    STUDIED_APART,
    ComparisonPlan,
    comparison_plan,
)
from teams_dagster.policy.config import (
    FEWEST_EPISODES,
    REFERENCE_UPDATES,
    TrainingConfig,
    reference_training,
)
from teams_dagster.policy.encoder import FeatureConfig
from teams_dagster.policy.reader.config import FeatureReaderConfig, LanguageModelReaderConfig
from teams_dagster.pricing.generation_prices import ExpertPriceUnknown, GenerationPrices

QUERIES = 10_000
"""Queries that a training is sized for by default: without a guide it asks no more."""

_TRAINING = TrainingConfig()

_COMPARISON = ComparisonConfig()


def _no_prices() -> GenerationPrices:
    raise ExpertPriceUnknown("reward `dollars` is counted by the prices of a generation: give `prices` to `training`")


class LBFGSCritic(method.LBFGSCriticConfig, dg.Config):
    """The critic, fitted by L-BFGS."""


class AdamCritic(method.AdamCriticConfig, dg.Config):
    """The critic, fitted by Adam."""


class Features(dg.Config):
    """What the policy reads."""

    embedding_model: str = Field(default="", description=FeatureConfig.model_fields["embedding_model"].description)


class FeatureReader(FeatureReaderConfig, dg.Config):
    """A small network reads features."""


class LanguageModelReader(LanguageModelReaderConfig, dg.Config):
    """A language model reads a prompt."""


class KLReference(dg.Config):
    """A price on moving away from a reference policy."""

    weight: float = Field(default=0.0, ge=0, description="kappa, at the beginning; 0: no such price.")
    target: float | None = Field(
        default=None, gt=0, description="Mean KL to the reference that kappa is steered to; none: kappa stays."
    )
    controller: one_of(CONTROLLERS) = Field(  # pyright: ignore[reportInvalidTypeForm] (made from the list)
        default=run_config(AdaptiveControllerConfig)(),
        discriminator="name",
        description="How kappa is steered to the target.",
    )
    policy_version: str = Field(
        default="",
        description="Version of a trained policy (one by behaviour cloning, say) to stay near to; empty: the uniform"
        " policy.",
    )


class PolicyConfig(AssetConfig):
    """How the policy is trained."""

    preset: Literal["default", "reference"] = Field(
        default="default",
        description="`reference`: as the paper's code trains, one episode a batch; of the other settings it takes"
        f" `root_seed` and `iterations` ({REFERENCE_UPDATES} by default) alone, and refuses what else is set.",
    )
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int | None = Field(
        default=None,
        ge=1,
        description=f"Updates of the policy at most; by default as many as {QUERIES:,} queries are"
        " likely enough for; without a guide they are enough in any case.",
    )
    episodes_per_iteration: int = Field(
        default=_TRAINING.episodes_per_iteration,
        ge=FEWEST_EPISODES,
        description="Episodes a batch.",
    )
    episodes_per_seed: int = Field(
        default=_TRAINING.episodes_per_seed,
        ge=1,
        description=TrainingConfig.model_fields["episodes_per_seed"].description,
    )
    patience: int = Field(
        default=_TRAINING.patience,
        ge=0,
        description="Iterations without a better mean return after which training stops; 0: never.",
    )
    gamma: float = Field(default=_TRAINING.gamma, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=_TRAINING.gae_decay, ge=0, le=1, description="GAE's lambda.")
    reward: Literal["graded", "paper", "dollars"] = Field(
        default="graded",
        description="Reward preset: `graded`, novelty less a price per query; `dollars`, novelty less what the edit"
        " would cost in a generation; `paper`, the verdict.",
    )
    price: float = Field(
        default=_TRAINING.reward.price, ge=0, lt=0.5, description="Price of one query in accepted edits (graded)."
    )
    edit_worth_usd: float = Field(
        default=DollarReward.model_fields["edit_worth_usd"].default,
        gt=0,
        description=DollarReward.model_fields["edit_worth_usd"].description,
    )
    both_orders: bool = Field(
        default=False,
        description="Each edit is reviewed twice, the texts the other way round the second time, and both verdicts make"
        " one: three queries an edit. The generations that the policy steers are reviewed so too.",
    )
    soft: bool = Field(
        default=False,
        description="The reward has the probability of Not Equal where the hard one has 0 or 1; acceptance stays the"
        " verdict. Needs a reviewer that gives probabilities.",
    )
    allow_none: bool = Field(default=True, description="Whether the policy may keep a text and ask nothing.")
    features: Features = Features()
    reader: FeatureReader | LanguageModelReader = Field(default=FeatureReader(), discriminator="kind")
    algorithm: one_of(method.ALGORITHMS) = Field(  # pyright: ignore[reportInvalidTypeForm] (made from the list)
        default=run_config(method.TRPOConfig)(), discriminator="name"
    )
    guide: Literal["model", "look_ahead"] = Field(
        default="model", description=TrainingConfig.model_fields["guide"].description
    )
    critic: LBFGSCritic | AdamCritic = Field(default=LBFGSCritic(), discriminator="optimiser")
    kl_reference: KLReference = KLReference()

    @property
    def reference_version(self) -> str:
        """Version of the trained policy to stay near to; empty: none is named."""
        return self.kl_reference.policy_version

    def training(self, prices: Callable[[], GenerationPrices] = _no_prices) -> TrainingConfig:
        """The method's own configuration; `prices` finds out those of a generation, where the reward needs them.

        Raises ValueError for settings that contradict each other, and what `prices` raises.
        """
        if self.preset == "reference":
            self._refuse_settings_beside_reference()
            return reference_training(self.root_seed, self.iterations or REFERENCE_UPDATES)
        if self.reader.kind == "language_model" and self.kl_reference.policy_version:
            raise ValueError(
                "kl_reference.policy_version: where a language model reads, a policy stays near to the uniform one,"
                " or to none: leave the version out"
            )
        if not self.kl_reference.weight and (self.kl_reference.policy_version or self.kl_reference.target):
            raise ValueError("kl_reference names a policy or a target without a `weight`: give it one, or leave it out")
        reward = self._reward(prices)
        settings: dict[str, Any] = {
            "root_seed": self.root_seed,
            "episodes_per_iteration": self.episodes_per_iteration,
            "episodes_per_seed": self.episodes_per_seed,
            "patience": self.patience,
            "gamma": self.gamma,
            "gae_decay": self.gae_decay,
            "allow_none": self.allow_none,
            "reward": reward,
            "features": FeatureConfig(**self.features.model_dump()),
            "guide": self.guide,
            "reader": self.reader.model_dump(),
            "algorithm": self.algorithm.model_dump(),
            "critic": self.critic.model_dump(),
            "kl_reference": method.KLReferenceConfig.model_validate(
                self.kl_reference.model_dump(exclude={"policy_version"})
            )
            if self.kl_reference.weight
            else None,
        }
        if self.iterations is None:
            return TrainingConfig.sized_for(QUERIES, settings)
        return TrainingConfig(iterations=self.iterations, **settings)

    def _refuse_settings_beside_reference(self) -> None:
        unset = PolicyConfig(preset="reference")
        taken = {*AssetConfig.model_fields, "root_seed", "iterations"}
        names = [n for n in type(self).model_fields if n not in taken and getattr(self, n) != getattr(unset, n)]
        if names:
            raise ValueError(
                f"preset `reference` takes `root_seed` and `iterations` alone, and {', '.join(names)} was set: leave"
                " that out, or `preset`"
            )

    def _reward(self, prices: Callable[[], GenerationPrices]) -> RewardConfig:
        preset, dollars = RewardPreset(self.reward), None
        if preset is RewardPreset.DOLLARS:
            dollars = DollarReward(prices=prices(), edit_worth_usd=self.edit_worth_usd)
        return RewardConfig(
            preset=preset, price=self.price, both_orders=self.both_orders, soft=self.soft, dollars=dollars
        )


class ComparisonSettings(AssetConfig):
    """How the policy is compared."""

    training_seeds: int | None = Field(
        default=None,
        ge=1,
        description="Trainings that are compared, the deployed one first: the others differ from it by their random"
        f" streams alone. By default {EMBEDDED_TRAINING_SEEDS} with the embedded rules, and 1 with other models, which"
        " cannot show how much trainings vary.",
    )
    baselines: list[str] | None = Field(
        default=None,
        description=f"Of {', '.join(baseline_names())}. By default all but {', '.join(STUDIED_APART)} with the embedded"
        f" rules; {UNIFORM} and {ROUND_ROBIN} with other models.",
    )
    ablations: list[str] | None = Field(
        default=None,
        description="Of text_zeroed, text_noise and no_history, policies trained alike that do not see one thing, and"
        " trained_without_none, the trained policy kept from resting; of a policy trained by reward `dollars`"
        " trained_by_graded, one trained alike by that; and reference, one trained as the paper's code trains. By"
        " default none; job policy_study has the first four.",
    )
    algorithms: list[str] | None = Field(
        default=None,
        description=f"Of {', '.join(COMPARED)}: what a policy is trained by as well, each as it ships and with as"
        " many queries, and compared as `trained_by_<algorithm>`. By default none; job algorithm_study has all.",
    )
    guides: list[str] = Field(
        default=["model"],
        description=f"Of {', '.join(GUIDES)}: who guides those of `algorithms` that need a guide, the role GUIDE or a"
        " look-ahead at its price (`trained_by_<algorithm>_under_look_ahead`).",
    )
    questions_per_seed: int | None = Field(
        default=None,
        ge=12,
        description="Queries of each policy from each held-out seed: as many as one episode needs, or more. By default"
        f" {_COMPARISON.questions_per_seed}, two episodes; three halves of it where the policy's reward takes verdicts"
        " in both orders.",
    )
    resamples: int = Field(default=_COMPARISON.resamples, ge=200, description="Bootstrap resamples.")
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")

    def plan(
        self, training: TrainingConfig, models: Mapping[Role, ModelIdentity], *, referenced: bool = False
    ) -> ComparisonPlan:
        """What is compared.

        Args:
            training: The deployed policy's.
            models: Those that answer in a training: what is not configured depends on them.
            referenced: Whether the deployed policy was kept near to another one.

        Raises ValueError for baselines, ablations and algorithms that do not exist, or cannot be trained, and for an
        allowance that is less than an episode may need.
        """
        config = ComparisonConfig(
            root_seed=self.root_seed,
            questions_per_seed=self.questions_per_seed or default_questions(training.reward),
            resamples=self.resamples,
        )
        check_room(config, training.reward)
        return comparison_plan(
            config,
            models,
            training_seeds=self.training_seeds,
            baselines=self.baselines,
            ablations=self.ablations,
            algorithms=self.algorithms,
            guides=self.guides,
            referenced=referenced,
            deployed=training,
        )
