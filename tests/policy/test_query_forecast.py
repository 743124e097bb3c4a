"""What a training will ask."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.policy.algorithms.base import BaseAlgorithmConfig
from teams_dagster.policy.algorithms.config import AggreVaTeDConfig, BCConfig, DAggerConfig, PPOConfig, TRPOConfig
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.query_forecast import UNTRAINED, EpisodeStats, trained_alike, training_questions
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.toy_world import topical_seeds

BATCH = 32 * 6
"""Steps of one iteration."""


def forecast(
    store: ArtefactStore, algorithm: BaseAlgorithmConfig, guide: str = "model", tried: EpisodeStats | None = None
) -> dict[Role, QueryForecast]:
    training = TrainingConfig.model_validate({"algorithm": algorithm, "guide": guide, "iterations": 1})
    return {kind.role: kind for kind in training_questions(store, topical_seeds(9), training, None, tried)}


@pytest.fixture
def store(tmp_path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def test_at_each_step_that_a_look_ahead_takes_every_operation_is_rewritten(store: ArtefactStore) -> None:
    alone, guided = (forecast(store, BCConfig(), guide) for guide in ("model", "look_ahead"))
    assert Role.GUIDE not in guided
    assert alone[Role.INSTRUCTOR].most == BATCH
    assert guided[Role.INSTRUCTOR].most == 7 * BATCH
    assert guided[Role.INSTRUCTOR].likely == pytest.approx(6 * alone[Role.INSTRUCTOR].likely, rel=0.01)


def test_a_label_of_a_look_ahead_is_asked_for_beside_the_learners_own_edit(store: ArtefactStore) -> None:
    alone, labelled = (forecast(store, PPOConfig(imitation_weight=0.1), guide) for guide in ("model", "look_ahead"))
    assert labelled[Role.REVIEWER].likely == pytest.approx(7 * alone[Role.REVIEWER].likely, rel=0.01)


def test_a_training_that_tries_every_choice_is_likely_to_ask_for_them(store: ArtefactStore) -> None:
    """Of six steps 2.5 on the mean come before the branches, of which there are seven."""
    alone, tries = forecast(store, TRPOConfig()), forecast(store, AggreVaTeDConfig(form="enumerated"))
    assert tries[Role.INSTRUCTOR].likely == pytest.approx((2.5 + 7 * 3.5) / 6 * alone[Role.INSTRUCTOR].likely, rel=0.01)


def test_what_a_preflight_tried_is_met_at_every_edit_that_a_look_ahead_tries(store: ArtefactStore) -> None:
    guided = forecast(store, BCConfig(), "look_ahead", UNTRAINED)
    assert guided[Role.INSTRUCTOR].likely == forecast(store, BCConfig(), "look_ahead")[Role.INSTRUCTOR].likely


@pytest.mark.parametrize("algorithm", [BCConfig(), DAggerConfig(), PPOConfig(imitation_weight=0.1)])
def test_a_training_is_sized_for_all_that_a_look_ahead_asks(algorithm: BaseAlgorithmConfig) -> None:
    """12 queries a step that it takes; 12 for a label, and 2 for the edit beside it."""
    training = TrainingConfig.sized_for(10_000, {"algorithm": algorithm, "guide": "look_ahead"})
    steps = [algorithm.expected_steps(number, 6, 7) for number in range(training.iterations + 1)]
    asked = [32 * (12 * each.guide + 14 * each.labels) for each in steps]
    assert sum(asked[:-1]) <= 10_000 < sum(asked)


def test_earlier_trainings_under_a_look_ahead_count_with_what_it_tried() -> None:
    stats = EpisodeStats(rewrites=6, reviews=6, new_rewrites=3, new_reviews=3, accepted=3, guidance=60)
    assert stats.with_tries(reviews_an_edit=1) == EpisodeStats(36, 36, 18, 18, 18)


def test_of_a_guide_that_tried_everything_and_always_rested_what_it_tried_counts() -> None:
    """As much of it is reviewed as of an untrained policy's edits."""
    rested = EpisodeStats(rewrites=0, reviews=0, new_rewrites=0, new_reviews=0, accepted=0, guidance=60)
    counted = rested.with_tries(reviews_an_edit=1)
    assert counted.rewrites + counted.reviews == pytest.approx(60)
    assert counted.reviews / counted.rewrites == pytest.approx(UNTRAINED.reviews / UNTRAINED.rewrites)
    assert rested.at(0) == EpisodeStats(0, 0, 0, 0, 0)


@pytest.mark.parametrize("guide", ["model", "look_ahead"])
def test_an_imported_policy_tells_who_guided_its_training(store: ArtefactStore, guide: str) -> None:
    """Its manifest holds no configuration of a run: its row of table `policies` says it."""
    trained = TrainingConfig.model_validate({"algorithm": BCConfig(), "guide": guide})
    row = {"algorithm": "bc", "config": trained.model_dump_json()}
    with store.writing("trained_policy", "imported", about={"config": {}}, select=True) as draft:
        pq.write_table(pa.Table.from_pylist([row]), draft.folder / "policies.parquet")
        draft.finish("p1", {})
    imported = store.current("trained_policy")
    for other in ("model", "look_ahead"):
        training = TrainingConfig.model_validate({"algorithm": BCConfig(), "guide": other})
        assert trained_alike(imported, training) is (other == guide)
