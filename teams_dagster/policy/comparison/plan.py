"""What is compared, given the deployed policy and the models that are asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.environment.reward import RewardPreset
from teams_dagster.policy.algorithms.base import BaseAlgorithmConfig
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from teams_dagster.policy.baselines import (
    CEILING,
    FORCED_SCHEDULE,
    GUIDE,
    LOOK_AHEAD,
    ROUND_ROBIN,
    SEARCHED,
    SIMPLER_RULES,
    UNIFORM,
    baseline_names,
)
from teams_dagster.policy.comparison.compare import ComparisonConfig
from teams_dagster.policy.comparison.contenders import (
    NO_HISTORY,
    REFERENCE,
    TEXT_NOISE,
    TEXT_ZEROED,
    TRAINED,
    TRAINED_BY_GRADED,
    TRAINED_WITHOUT_NONE,
)
from teams_dagster.policy.comparison.share import Training
from teams_dagster.policy.config import TrainingConfig

Guide = Literal["model", "look_ahead"]

GUIDES: tuple[Guide, ...] = ("model", "look_ahead")

COMPARED: dict[str, BaseAlgorithmConfig] = {
    "trpo": TRPOConfig(),
    "ppo": PPOConfig(),
    "ppo_plus_plus": PPOPlusPlusConfig(),
    "aggrevated_mask": AggreVaTeDConfig(form="mask", beta=0.8, step=PPOConfig()),
    "aggrevated_one_step": AggreVaTeDConfig(form="one_step", beta=1.0, step=PPOConfig(epochs=30)),
    "aggrevated_enumerated": AggreVaTeDConfig(form="enumerated"),
    "lols": LOLSConfig(),
    "d2lols": D2LOLSConfig(),
    "bc": BCConfig(),
    "dagger": DAggerConfig(),
}
"""As they ship; the forms of AggreVaTeD that are not its default as they did best when tuned."""

TRAINED_BY = "trained_by_"
UNDER_LOOK_AHEAD = "_under_look_ahead"


def compared_name(algorithm: str, guide: Guide) -> str:
    """What the policy trained by `algorithm` is called in a comparison."""
    return f"{TRAINED_BY}{algorithm}{UNDER_LOOK_AHEAD if guide == 'look_ahead' else ''}"


def compared_algorithm(name: str) -> tuple[str, Guide] | None:
    """The algorithm and the guide of a policy that is called so; None where it is another kind of policy."""
    algorithm = name.removeprefix(TRAINED_BY).removesuffix(UNDER_LOOK_AHEAD)
    if not name.startswith(TRAINED_BY) or algorithm not in COMPARED:
        return None
    return algorithm, "look_ahead" if name.endswith(UNDER_LOOK_AHEAD) else "model"


def by_algorithm(
    deployed: TrainingConfig, algorithms: Collection[str], guides: Collection[Guide]
) -> dict[str, TrainingConfig]:
    """The trainings by each of `algorithms` under each of `guides`, by the names of the policies.

    One that knows no guide is trained once. Each is sized for as many queries as the deployed policy's training is
    likely to ask, and runs until it has them, whatever the patience of that one. What the deployed policy was trained
    by itself is left out: `trained` is that.

    Raises ValueError where an algorithm has no room in so few queries.
    """
    found: dict[str, TrainingConfig] = {}
    for guide in GUIDES:
        for name, algorithm in COMPARED.items():
            guided = algorithm.asks_guide
            if name not in algorithms or (guide not in guides if guided else guide == "look_ahead"):
                continue
            if deployed.algorithm != algorithm or (guided and deployed.guide != guide):
                found[compared_name(name, guide)] = _sized(deployed, algorithm, guide)
    return found


def _sized(deployed: TrainingConfig, algorithm: BaseAlgorithmConfig, guide: Guide) -> TrainingConfig:
    values = deployed.model_dump() | {"patience": 0, "algorithm": algorithm.model_dump()}
    if algorithm.asks_guide:
        values["guide"] = guide
    queries = round(deployed.expected_queries)
    try:
        return TrainingConfig.sized_for(queries, values)
    except ValidationError as error:
        raise ValueError(
            f"the {queries:,} queries of the policy's training are too few for {algorithm.title} under guide `{guide}`"
            f" ({error.errors()[0]['msg']}): leave it out of `algorithms`, or train the policy longer"
        ) from error


EMBEDDED_TRAINING_SEEDS = 5

STUDIED_APART = (FORCED_SCHEDULE, GUIDE, LOOK_AHEAD, CEILING, *SIMPLER_RULES)
"""Baselines that no comparison has by default, to be quick. Job `policy_study` has them, and the ablations."""

Ablation = Literal["text_zeroed", "text_noise", "no_history", "trained_without_none", "trained_by_graded", "reference"]

ABLATIONS: tuple[Ablation, ...] = (TEXT_ZEROED, TEXT_NOISE, NO_HISTORY, TRAINED_WITHOUT_NONE)

TRAINED_ALIKE = (TEXT_ZEROED, TEXT_NOISE, NO_HISTORY, TRAINED_BY_GRADED, REFERENCE)
"""Those that are trained; the other one is the trained policy, kept from resting."""

KNOWN_ABLATIONS: tuple[Ablation, ...] = (*ABLATIONS, TRAINED_BY_GRADED, REFERENCE)
"""With the one of a policy that was trained by reward `dollars`, which no study of another policy can have, and with
the paper's own way, which differs in more than one thing."""


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared."""

    config: ComparisonConfig
    training_seeds: int
    baselines: tuple[str, ...]
    ablations: tuple[Ablation, ...]
    algorithms: tuple[str, ...] = ()
    """What else the policy is trained by, to be compared: names of `comparison.algorithms.COMPARED`."""
    guides: tuple[Guide, ...] = ()
    """Under whom the guided ones of `algorithms` are trained."""

    @property
    def searched(self) -> tuple[str, ...]:
        """Those of `baselines` that have to be searched."""
        return tuple(name for name in SEARCHED if name in self.baselines)

    def roles(self, deployed: TrainingConfig) -> tuple[Role, ...]:
        """Who is asked: by the policies themselves, and by those that are trained for the comparison."""
        trained = (role for training in self.trainings(deployed) for role in training.config.roles)
        played = (Role.GUIDE,) if GUIDE in self.baselines else ()
        return tuple(dict.fromkeys((Role.INSTRUCTOR, Role.REVIEWER, *trained, *played)))

    def settings(self) -> dict[str, Any]:
        """What decides the comparison's output."""
        return {
            "config": self.config.model_dump(mode="json"),
            "training_seeds": self.training_seeds,
            "baselines": list(self.baselines),
            "ablations": list(self.ablations),
            **({"algorithms": list(self.algorithms), "guides": list(self.guides)} if self.algorithms else {}),
        }

    def trainings(self, deployed: TrainingConfig) -> list[Training]:
        """What has to be trained: the deployed policy's other seeds, each ablation's, and each other algorithm's."""
        alike = self._seeded({name: deployed for name in (TRAINED, *self.ablations) if name != TRAINED_WITHOUT_NONE})
        others = self._seeded(by_algorithm(deployed, self.algorithms, self.guides))
        return [training.ablated() for training in alike[1:]] + others

    def _seeded(self, configs: Mapping[str, TrainingConfig]) -> list[Training]:
        """Each of `configs`, as often as the policy is trained."""
        return [
            Training(name, config.model_copy(update={"root_seed": config.root_seed + number}))
            for name, config in configs.items()
            for number in range(self.training_seeds)
        ]

    def compared_algorithms(self, deployed: TrainingConfig) -> tuple[str, ...]:
        """The names of the policies that other algorithms train."""
        return tuple(by_algorithm(deployed, self.algorithms, self.guides))


ALGORITHM_STUDY = {
    "training_seeds": EMBEDDED_TRAINING_SEEDS,
    "baselines": [UNIFORM, GUIDE, LOOK_AHEAD],
    "algorithms": list(COMPARED),
    "guides": list(GUIDES),
}
"""Run configuration that compares the algorithms: as many trainings of each, under both guides."""

STUDY = {"training_seeds": EMBEDDED_TRAINING_SEEDS, "baselines": baseline_names(), "ablations": [*ABLATIONS]}
"""Run configuration of the whole study: every baseline, every ablation, and as many trainings of each."""


def comparison_plan(
    config: ComparisonConfig,
    models: Mapping[Role, ModelIdentity],
    *,
    training_seeds: int | None,
    baselines: Collection[str] | None,
    ablations: Collection[str] | None,
    algorithms: Collection[str] | None,
    guides: Collection[str],
    referenced: bool,
    deployed: TrainingConfig,
) -> ComparisonPlan:
    """What is compared.

    Args:
        config: How each policy is compared.
        models: Those that answer in a training: where the embedded rules do, more is compared by default.
        training_seeds: Trainings that are compared; None: 1, or `EMBEDDED_TRAINING_SEEDS`.
        baselines: Their names; None: `default_baselines`. `uniform` is always among them.
        ablations: Their names; None: none.
        algorithms: What else is trained by and compared; None: nothing.
        guides: Under whom those that need a guide are trained.
        referenced: Whether the deployed policy was kept near to another one.
        deployed: How the deployed policy was trained.

    Raises ValueError for baselines, ablations and algorithms that do not exist, or cannot be trained.
    """
    embedded = all(model.provider == "offline" for model in models.values())
    named = baselines if baselines is not None else default_baselines(embedded=embedded)
    ablated = ablations or ()
    _refuse_unknown("baselines", named, baseline_names())
    _refuse_unknown("ablations", ablated, KNOWN_ABLATIONS)
    _refuse_unknown("algorithms", algorithms or (), COMPARED)
    _refuse_unknown("guides", guides, GUIDES)
    if not guides and (guided := [name for name in algorithms or () if COMPARED[name].asks_guide]):
        raise ValueError(f"algorithms {', '.join(guided)} need a guide, and `guides` is empty: name one there")
    if TRAINED_BY_GRADED in ablated and deployed.reward.preset is not RewardPreset.DOLLARS:
        raise ValueError(
            f"{TRAINED_BY_GRADED} is compared with a policy that was trained by `reward: dollars`, and this one was by"
            f" {deployed.reward.preset.value}: leave it out of `ablations`"
        )
    if referenced and (blind := [name for name in ablated if name in TRAINED_ALIKE]):
        raise ValueError(
            f"the policy was kept near to another one, which reads all features: {', '.join(blind)} cannot be"
            " trained alike; leave it out of `ablations`"
        )
    plan = ComparisonPlan(
        config=config,
        training_seeds=training_seeds or (EMBEDDED_TRAINING_SEEDS if embedded else 1),
        baselines=tuple(name for name in baseline_names() if name in {UNIFORM, *named}),
        ablations=tuple(name for name in KNOWN_ABLATIONS if name in ablated),
        algorithms=tuple(name for name in COMPARED if name in (algorithms or ())),
        guides=tuple(guide for guide in GUIDES if guide in guides) if algorithms else (),
    )
    plan.trainings(deployed)  # what cannot be trained is refused here, before anything is asked
    return plan


def default_baselines(*, embedded: bool) -> list[str]:
    """All that are quick to play with the embedded rules; else `uniform` and `round_robin`."""
    return [name for name in baseline_names() if name not in STUDIED_APART] if embedded else [ROUND_ROBIN]


def _refuse_unknown(what: str, names: Collection[str], known: Collection[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"unknown {what} {', '.join(unknown)}: choose from {', '.join(known)}")
