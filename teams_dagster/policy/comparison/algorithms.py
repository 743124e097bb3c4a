"""The ten algorithms side by side: each trained as it ships, with as many queries as the deployed policy's training."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import ValidationError

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
