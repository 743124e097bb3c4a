"""The configuration of policy training. Plain values: reading it needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import HORIZON
from teams_dagster.policy.algorithms.config import (
    AlgorithmConfig,
    CriticConfig,
    D2LOLSConfig,
    KLReferenceConfig,
    LBFGSCriticConfig,
    TRPOConfig,
)
from teams_dagster.policy.encoder import FeatureConfig
from teams_dagster.policy.guide import ATTEMPTS as GUIDE_ATTEMPTS
from teams_dagster.policy.reader.config import FeatureReaderConfig, LanguageModelReaderConfig, ReaderConfig

FEWEST_EPISODES = 32
"""Episodes a batch, below which an update follows single texts."""

REFERENCE_UPDATES = 200
"""Updates of the paper's code."""

_ENDLESS = 1_000_000
"""Iterations that no training has: in their place until it is known what one of them asks."""


class TrainingConfig(BaseModel):
    """Everything that decides a training run besides its seeds and the models that answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")
    iterations: int = Field(default=26, ge=1, description="Updates of the policy at most.")
    reference: bool = Field(
        default=False, description="Trained as the paper's code trains (`reference_training`): batches may be small."
    )
    episodes_per_iteration: int = Field(
        default=32, ge=1, description="Episodes a batch, from different seeds where there are as many."
    )
    episodes_per_seed: int = Field(
        default=1,
        ge=1,
        description="Episodes of each seed in a batch. With several, an accepted text that an earlier episode of its"
        " seed reached counts for nothing in the advantage, so that the policy learns to vary.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Iterations without a better mean return (of SMOOTHED iterations) after which it stops; 0: never.",
    )
    hidden: tuple[int, ...] = Field(default=(64,), min_length=1, description="Sizes of the tanh layers.")
    gamma: float = Field(default=0.9, gt=0, le=1, description="Discount of future reward.")
    gae_decay: float = Field(default=0.95, ge=0, le=1, description="GAE's lambda (the reference's tau).")
    allow_none: bool = Field(default=True, description="Whether the policy may keep the text and ask nothing.")
    reward: RewardConfig = RewardConfig()
    features: FeatureConfig = FeatureConfig()
    algorithm: AlgorithmConfig = TRPOConfig()
    critic: CriticConfig = LBFGSCriticConfig()
    guide: Literal["model", "look_ahead"] = Field(
        default="model",
        description="Who guides a guided algorithm: the role GUIDE, or a look-ahead that tries every operation at each"
        " of its steps, its queries counted.",
    )
    reader: ReaderConfig = FeatureReaderConfig()
    kl_reference: KLReferenceConfig | None = Field(
        default=None, description="A price on moving away from a reference policy; None: none."
    )

    @model_serializer(mode="wrap")
    def _as_it_was(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what earlier versions did not know, where it is unused: trained policies keep their version."""
        values: dict[str, Any] = handler(self)
        if not self.reference:
            values.pop("reference", None)
        if self.episodes_per_seed == 1:
            values.pop("episodes_per_seed", None)
        if self.guide == "model":
            values.pop("guide", None)
        if isinstance(self.reader, FeatureReaderConfig):
            values.pop("reader", None)
        return values

    @model_validator(mode="after")
    def _batches_are_large(self) -> Self:
        if self.episodes_per_iteration < FEWEST_EPISODES and not self.reference:
            raise ValueError(
                f"episodes_per_iteration is {self.episodes_per_iteration}: give {FEWEST_EPISODES} or more, or the"
                " preset `reference`, whose batch is one episode"
            )
        return self

    @model_validator(mode="after")
    def _seeds_have_equally_many_episodes(self) -> Self:
        if self.episodes_per_iteration % self.episodes_per_seed:
            raise ValueError(
                f"episodes_per_seed is {self.episodes_per_seed}, which does not divide the"
                f" {self.episodes_per_iteration} episodes of a batch (episodes_per_iteration): give a divisor of it"
            )
        return self

    @model_validator(mode="after")
    def _phases_are_reached(self) -> Self:
        if isinstance(self.algorithm, D2LOLSConfig) and self.algorithm.switch >= self.iterations:
            raise ValueError(
                f"d2lols changes to PPO++ after {self.algorithm.switch} iterations, and there are {self.iterations}:"
                " give it a smaller `switch`, or more `iterations`"
            )
        if self.patience and not self.algorithm.learner_acts:
            raise ValueError(
                f"patience {self.patience} watches the return of the policy's own steps, and {self.algorithm.name} has"
                " none, since the guide acts alone: leave patience out"
            )
        return self

    @model_validator(mode="after")
    def _reader_can_learn(self) -> Self:
        if self.reads_prompts and self.algorithm.second_derivatives:
            raise ValueError(
                "trpo takes second derivatives of the whole batch at once, for which a language model has no room:"
                " give `reader: language_model` an algorithm that moves the policy by ppo, or bc or dagger"
            )
        return self

    @property
    def reads_prompts(self) -> bool:
        """Whether a language model reads for the policy."""
        return isinstance(self.reader, LanguageModelReaderConfig)

    @property
    def allowed_operations(self) -> tuple[Operation, ...]:
        """Which operations the policy may choose."""
        return tuple(operation for operation in Operation if self.allow_none or operation is not Operation.NONE)

    @property
    def allowed(self) -> np.ndarray:
        """The same as a mask: bool, shape (operations,)."""
        return np.array([operation in self.allowed_operations for operation in Operation])

    @property
    def asks_guide(self) -> bool:
        """Whether the algorithm needs the role of the guide."""
        return self.algorithm.asks_guide and self.guide == "model"

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who is asked in a training."""
        return (Role.INSTRUCTOR, Role.REVIEWER, *((Role.GUIDE,) if self.asks_guide else ()))

    @property
    def looks_ahead(self) -> bool:
        """Whether a look-ahead guides, which tries every operation at each of its steps."""
        return self.algorithm.asks_guide and self.guide == "look_ahead"

    @property
    def most_branches(self) -> int:
        """Episodes that one comes to at most: each choice is tried where the algorithm enumerates them."""
        return len(self.allowed_operations) if self.algorithm.tries_every_choice else 1

    @property
    def most_edits_an_episode(self) -> int:
        """Edits of one episode at most: those of its branches, and those that a look-ahead tries, included."""
        tried = len(TEXT_OPERATIONS) if self.looks_ahead else 0
        return self.most_branches * (1 + tried) * HORIZON

    @property
    def most_queries_an_episode(self) -> int:
        """Queries of one episode, its branches included, at most."""
        named = GUIDE_ATTEMPTS if self.asks_guide else 0
        return self.reward.queries_an_edit * self.most_edits_an_episode + self.most_branches * named * HORIZON

    @property
    def expected_edits(self) -> float:
        """Edits that the whole training is likely to ask for, counted as `most_edits_an_episode` counts them."""
        of_episodes = sum(self._expected(iteration)[0] for iteration in range(self.iterations))
        return self.episodes_per_iteration * of_episodes

    @property
    def plain_episodes(self) -> float:
        """Episodes without branches and look-ahead that one episode of it is likely to ask as much as."""
        return self.expected_edits / (self.iterations * self.episodes_per_iteration * HORIZON)

    @property
    def expected_queries(self) -> float:
        """Queries that the whole training is likely to ask, the guide's included."""
        return sum(map(self._expected_queries, range(self.iterations)))

    @classmethod
    def sized_for(cls, queries: int, settings: Mapping[str, Any]) -> Self:
        """A training by `settings`, with as many iterations as so many queries are likely enough for; at least 1.

        Raises pydantic.ValidationError where the settings contradict each other, or the iterations are too few for
        the algorithm.
        """
        endless = cls.model_validate({**settings, "iterations": _ENDLESS})
        return cls.model_validate({**endless.model_dump(), "iterations": endless._iterations_for(queries)})

    def _iterations_for(self, queries: int) -> int:
        """How many iterations so many queries are likely enough for; at least 1.

        Each step counts for an edit with its review, and a step of the guide for one more query, or for the other edits
        that a look-ahead tries; where it only says what it would do, for all of them. Most that could be asked is more
        where the guide cannot be read.
        """
        count, asked = 0, 0.0
        while True:
            asked += self._expected_queries(count)
            if asked > queries:
                return max(1, count)
            count += 1

    def _expected_queries(self, iteration: int) -> float:
        edits, named = self._expected(iteration)
        return self.episodes_per_iteration * (self.reward.queries_an_edit * edits + named)

    def _expected(self, iteration: int) -> tuple[float, float]:
        """Edits of an episode of `iteration`, and queries to a model that guides, as far as can be expected."""
        steps = self.algorithm.expected_steps(iteration, HORIZON, len(self.allowed_operations))
        if self.looks_ahead:
            tried = len(TEXT_OPERATIONS)
            return steps.everyone + (tried - 1) * steps.guide + tried * steps.labels, 0.0
        return steps.everyone, steps.guide + steps.labels


def reference_training(root_seed: int = 0, iterations: int = REFERENCE_UPDATES) -> TrainingConfig:
    """How the paper's code trains, as far as a sound policy can be trained so, to be shown beside our own.

    As there: one episode a batch, the binary verdict, no `none`, a policy that reads no text but what was tried, two
    layers of 64, discount 0.995 and GAE 0.97, KL 0.01, L-BFGS with 25 iterations. Not as there: the softmax instead of
    the argmax of a Gaussian, whose density is not that of the action taken; tanh; a line search that checks the KL; the
    step and all that was tried beside the last operation; another seed for each episode instead of one sentence that is
    edited on through the whole training.
    """
    return TrainingConfig(
        reference=True,
        root_seed=root_seed,
        iterations=iterations,
        episodes_per_iteration=1,
        hidden=(64, 64),
        gamma=0.995,
        gae_decay=0.97,
        allow_none=False,
        reward=RewardConfig(preset=RewardPreset.PAPER),
        features=FeatureConfig(ablation="text_zeroed"),
        algorithm=TRPOConfig(max_kl=0.01),
        critic=LBFGSCriticConfig(iterations=25),
    )
