"""Run configuration of policy training: the method's own configuration, as the Launchpad shows it.

Each algorithm is one choice of `algorithm`, with its own parameters: `algorithm: {ppo: {clip: 0.1}}`.
"""

from collections.abc import Iterable, Mapping
from functools import cache, reduce
from inspect import cleandoc
from operator import or_
from typing import Any, Literal, cast, get_args

import dagster as dg
from pydantic import BaseModel, Field, TypeAdapter, create_model

from assets.materialize import AssetConfig
from resources.language_models.roles import LanguageModels
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.policy.algorithms import config as method
from teams_dagster.policy.config import TrainingConfig, most_queries
from teams_dagster.policy.encoder import FeatureConfig

QUESTIONS = 10_000
"""Questions that a training asks at most by default."""

_DEFAULT = TrainingConfig()


@cache
def _run_config(config: type[BaseModel]) -> type[dg.Config]:
    """A configuration of the method as one of Dagster: the same fields, choices among configurations turned alike."""
    choices: dict[str, Any] = {
        name: (
            _one_of(get_args(field.annotation)),
            Field(default=_run_config(type(field.default))(**field.default.model_dump()), discriminator="name"),
        )
        for name, field in config.model_fields.items()
        if field.discriminator == "name"
    }
    summary = cleandoc(config.__doc__ or "").partition("\n\n")[0]
    made = create_model(config.__name__, __base__=(config, dg.Config), __doc__=summary, **choices)
    return cast("type[dg.Config]", made)


def _one_of(configs: Iterable[type[BaseModel]]) -> Any:
    """The union of `configs`, each as a configuration of Dagster."""
    return reduce(or_, (_run_config(config) for config in configs))


class LBFGSCritic(method.LBFGSCriticConfig, dg.Config):
    """The critic, fitted by L-BFGS."""


class AdamCritic(method.AdamCriticConfig, dg.Config):
    """The critic, fitted by Adam."""


class Features(dg.Config):
    """What the policy reads."""

    embedding_model: str = Field(default="", description=FeatureConfig.model_fields["embedding_model"].description)


class KLReference(dg.Config):
    """A price on moving away from a reference policy."""

    weight: float = Field(default=0.0, ge=0, description="kappa, at the beginning; 0: no such price.")
    target: float | None = Field(
        default=None, gt=0, description="Mean KL to the reference that kappa is steered to; none: kappa stays."
    )
    policy_version: str = Field(
        default="",
        description="Version of a trained policy (one by behaviour cloning, say) to stay near to; empty: the uniform"
        " policy.",
    )


class PolicyConfig(AssetConfig):
    """How the policy is trained."""

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int | None = Field(
        default=None,
        ge=1,
        description=f"Updates of the policy at most; by default as many as {QUESTIONS:,} questions are enough for.",
    )
    episodes_per_iteration: int = Field(
        default=_DEFAULT.episodes_per_iteration, ge=32, description="Episodes a batch, from different seeds."
    )
    patience: int = Field(
        default=_DEFAULT.patience,
        ge=0,
        description="Iterations without a better mean return after which training stops; 0: never.",
    )
    gamma: float = Field(default=_DEFAULT.gamma, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=_DEFAULT.gae_decay, ge=0, le=1, description="GAE's lambda.")
    reward: Literal["graded", "paper"] = Field(default="graded", description="Reward preset.")
    price: float = Field(
        default=_DEFAULT.reward.price, ge=0, lt=0.5, description="Price of one question in accepted edits (graded)."
    )
    allow_none: bool = Field(default=True, description="Whether the policy may keep a text and ask nothing.")
    features: Features = Features()
    algorithm: _one_of(method.ALGORITHMS) = Field(  # pyright: ignore[reportInvalidTypeForm] (made from the list)
        default=_run_config(method.TRPOConfig)(), discriminator="name"
    )
    critic: LBFGSCritic | AdamCritic = Field(default=LBFGSCritic(), discriminator="optimiser")
    kl_reference: KLReference = KLReference()

    def training(self) -> TrainingConfig:
        """The method's own configuration."""
        if not self.kl_reference.weight and (self.kl_reference.policy_version or self.kl_reference.target):
            raise ValueError("kl_reference names a policy or a target without a `weight`: give it one, or leave it out")
        return TrainingConfig(
            root_seed=self.root_seed,
            iterations=self.iterations or self._default_iterations(),
            episodes_per_iteration=self.episodes_per_iteration,
            patience=self.patience,
            gamma=self.gamma,
            gae_decay=self.gae_decay,
            allow_none=self.allow_none,
            reward=RewardConfig(preset=RewardPreset(self.reward), price=self.price),
            features=FeatureConfig(**self.features.model_dump()),
            **_dumped(algorithm=self.algorithm, critic=self.critic),
            kl_reference=method.KLReferenceConfig(weight=self.kl_reference.weight, target=self.kl_reference.target)
            if self.kl_reference.weight
            else None,
        )

    def _default_iterations(self) -> int:
        """As many as `QUESTIONS` are enough for; at least 1."""
        choices = len(Operation) if self.allow_none else len(TEXT_OPERATIONS)
        algorithm = TypeAdapter(method.AlgorithmConfig).validate_python(self.algorithm.model_dump())
        return max(1, QUESTIONS // (self.episodes_per_iteration * most_queries(algorithm, choices)))


def _dumped(**parts: dg.Config) -> dict[str, Any]:
    """Parts of the configuration as plain values, for the method's own classes."""
    return {name: part.model_dump() for name, part in parts.items()}


def roles_of(config: TrainingConfig) -> tuple[Role, ...]:
    """Who is asked in a training."""
    return (Role.INSTRUCTOR, Role.REVIEWER, *((Role.GUIDE,) if config.asks_guide else ()))


def is_embedded(models: LanguageModels, *roles: Role) -> bool:
    """Whether the embedded rules serve all of `roles`: questions cost nothing and no time."""
    identities: Mapping[Role, Any] = models.identities(*roles)
    return all(identity.provider == "offline" for identity in identities.values())
