"""Run configuration of the comparison, and what it comes to with the models that are asked."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from assets.comparison.share import Training
from assets.materialize import AssetConfig
from assets.policy_config import is_embedded, roles_of
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.policy.baselines import CEILING, FORCED_SCHEDULE, GUIDE, LOOK_AHEAD, ROUND_ROBIN, UNIFORM, baselines
from teams_dagster.policy.comparison.compare import ComparisonConfig
from teams_dagster.policy.comparison.contenders import NO_HISTORY, TEXT_BLIND, TRAINED, TRAINED_WITHOUT_NONE
from teams_dagster.policy.config import TrainingConfig

EMBEDDED_TRAINING_SEEDS = 5

STUDIED_APART = (FORCED_SCHEDULE, GUIDE, LOOK_AHEAD, CEILING)
"""Baselines that no comparison has by default, to be quick. Job `policy_study` has them, and the ablations."""

Ablation = Literal["text_blind", "no_history", "trained_without_none"]

ABLATIONS: tuple[Ablation, ...] = (TEXT_BLIND, NO_HISTORY, TRAINED_WITHOUT_NONE)

TRAINED_ALIKE = (TEXT_BLIND, NO_HISTORY)
"""Those that are trained; the other one is the trained policy, kept from resting."""

_DEFAULT = ComparisonConfig()


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared."""

    config: ComparisonConfig
    training_seeds: int
    baselines: tuple[str, ...]
    ablations: tuple[Ablation, ...]

    def roles(self, deployed: TrainingConfig) -> tuple[Role, ...]:
        """Who is asked: by the policies themselves, and by those that are trained for the comparison."""
        guided = GUIDE in self.baselines or (deployed.asks_guide and bool(self.trainings(deployed)))
        return (Role.INSTRUCTOR, Role.REVIEWER, *((Role.GUIDE,) if guided else ()))

    def settings(self) -> dict[str, Any]:
        """What decides the comparison's output."""
        return {
            "config": self.config.model_dump(mode="json"),
            "training_seeds": self.training_seeds,
            "baselines": list(self.baselines),
            "ablations": list(self.ablations),
        }

    def trainings(self, deployed: TrainingConfig) -> list[Training]:
        """What has to be trained for the comparison: the deployed policy's other seeds, and each ablation's."""
        alike = [
            Training(name, deployed.model_copy(update={"root_seed": deployed.root_seed + number}))
            for name in (TRAINED, *(name for name in self.ablations if name in TRAINED_ALIKE))
            for number in range(self.training_seeds)
        ]
        return [training.ablated() for training in alike[1:]]


STUDY = {"training_seeds": EMBEDDED_TRAINING_SEEDS, "baselines": [*baselines()], "ablations": [*ABLATIONS]}
"""Run configuration of the whole study: every baseline, every ablation, and as many trainings of each."""


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
        description=f"Of {', '.join(baselines())}. By default all but {', '.join(STUDIED_APART)} with the embedded"
        f" rules; {UNIFORM} and {ROUND_ROBIN} with other models.",
    )
    ablations: list[str] | None = Field(
        default=None,
        description="Of text_blind and no_history, policies trained alike that do not see one thing, and"
        " trained_without_none, the trained policy kept from resting. By default none; job policy_study has all.",
    )
    questions_per_seed: int = Field(
        default=_DEFAULT.questions_per_seed, ge=12, description="Questions of each policy from each held-out seed."
    )
    resamples: int = Field(default=_DEFAULT.resamples, ge=200, description="Bootstrap resamples.")
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream.")

    def plan(self, models: LanguageModels, training: TrainingConfig, *, referenced: bool = False) -> ComparisonPlan:
        """What is compared, with what depends on the models that are asked.

        `training` is the deployed policy's, `referenced` whether it was kept near to another policy.
        """
        embedded = is_embedded(models, *roles_of(training))
        named = self.baselines if self.baselines is not None else default_baselines(embedded=embedded)
        ablations = self.ablations or []
        _refuse_unknown("baselines", named, baselines())
        _refuse_unknown("ablations", ablations, ABLATIONS)
        if referenced and (blind := [name for name in ablations if name in TRAINED_ALIKE]):
            raise ValueError(
                f"the policy was kept near to another one, which reads all features: {', '.join(blind)} cannot be"
                " trained alike; leave it out of `ablations`"
            )
        return ComparisonPlan(
            config=ComparisonConfig(
                root_seed=self.root_seed, questions_per_seed=self.questions_per_seed, resamples=self.resamples
            ),
            training_seeds=self.training_seeds or (EMBEDDED_TRAINING_SEEDS if embedded else 1),
            baselines=tuple(name for name in baselines() if name in {UNIFORM, *named}),
            ablations=tuple(name for name in ABLATIONS if name in ablations),
        )


def default_baselines(*, embedded: bool) -> list[str]:
    """Uniform, in turn and each operation alone with the embedded rules; else `uniform` and `round_robin`."""
    return [name for name in baselines() if name not in STUDIED_APART] if embedded else [ROUND_ROBIN]


def _refuse_unknown(what: str, names: Collection[str], known: Collection[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"unknown {what} {', '.join(unknown)}: choose from {', '.join(known)}")
