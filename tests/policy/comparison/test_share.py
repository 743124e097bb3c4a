"""How far the trainings of a comparison are, as it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from teams_dagster.policy.algorithms.base import BaseAlgorithmConfig
from teams_dagster.policy.algorithms.config import AggreVaTeDConfig, BCConfig, TRPOConfig
from teams_dagster.policy.comparison.share import Share, Training, train_share
from teams_dagster.policy.config import TrainingConfig
from tests.support.toy_world import ToyWorld, topical_seeds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "guide"),
    [(TRPOConfig(), "model"), (BCConfig(), "look_ahead"), (AggreVaTeDConfig(form="enumerated"), "model")],
)
def test_progress_counts_branches_and_what_a_look_ahead_tries_as_the_whole_does(
    tmp_path: Path, algorithm: BaseAlgorithmConfig, guide: str
) -> None:
    """The whole is the episodes without either that ask as much: `comparison_episodes`."""
    config = TrainingConfig.model_validate({"algorithm": algorithm, "guide": guide, "iterations": 1})
    share = Share((Training("trained_by_it", config),), topical_seeds(40), None, tmp_path, "run")
    heard = list[float]()

    def done(_: object, episodes: float = 1.0) -> None:
        heard.append(episodes)

    asyncio.run(train_share(ToyWorld(), share, done, lambda line: None))
    assert sum(heard) == pytest.approx(config.expected_edits / 6)
