"""What a training would ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.dataset.export import export_dataset
from teams_dagster.evaluation.rlgf.forecast import training_queries
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.run_request import RLGFRequest
from teams_dagster.rlgf.task import load_task
from tests.support.tuned_student import HELD_OUT, TRAIN


def request(folder: Path, algorithm: dict[str, Any], **more: Any) -> RLGFRequest:
    config = {name: more.pop(name) for name in ("evaluate_every", "evaluation_texts", "most_queries") if name in more}
    given: dict[str, Any] = {"task": load_task("positive_continuation"), **more}
    return RLGFRequest(
        folder=folder,
        parent=1,
        base="base",
        adapter=folder,
        start="start",
        config=RLGFConfig.model_validate({"algorithm": algorithm, "iterations": 10, "texts": 8, **config}),
        **given,
    )


@pytest.fixture
def prompts(tmp_path: Path) -> DatasetPrompts:
    export_dataset(tmp_path, {"train": TRAIN, "validation": [], "held_out": HELD_OUT})
    train, held_out = tmp_path / "train.parquet", tmp_path / "held_out.parquet"
    return DatasetPrompts(train=train, held_out=held_out, prompts=4, evaluation_prompts=5, seed=0)


@pytest.mark.parametrize(
    ("algorithm", "likely"), [({"name": "ppo_plus_plus", "beta": 0.25}, 20), ({"name": "aggrevated"}, 80)]
)
def test_a_guide_is_asked_at_most_once_a_text(tmp_path: Path, algorithm: dict[str, Any], likely: int) -> None:
    [kind] = training_queries(request(tmp_path, algorithm, guide="somebody"))
    assert (kind.role, kind.least, kind.likely, kind.most) == (Role.GUIDE, 0, likely, 80)


@pytest.mark.parametrize(("more", "evaluations"), [({}, 2), ({"evaluate_every": 3}, 5), ({"evaluation_texts": 2}, 4)])
def test_a_judge_is_asked_twice_a_text_those_that_are_measured_too(
    tmp_path: Path, prompts: DatasetPrompts, more: dict[str, Any], evaluations: int
) -> None:
    [kind] = training_queries(request(tmp_path, {"name": "ppo"}, task=prompts, judge="somebody", **more))
    assert kind.role is Role.JUDGE
    assert kind.most == 2 * (80 + 5 * evaluations)


def test_a_bound_on_queries_leaves_the_rest_of_a_batch_and_what_is_measured(
    tmp_path: Path, prompts: DatasetPrompts
) -> None:
    bounded = request(tmp_path, {"name": "ppo"}, task=prompts, judge="somebody", guide="else", most_queries=30)
    assert {kind.role: kind.most for kind in training_queries(bounded)} == {
        Role.GUIDE: 30 + 8 - 1,
        Role.JUDGE: 30 + 16 - 1 + 2 * 5 * 2,
    }


def test_two_texts_that_are_judged_beside_each_other_take_two_queries(tmp_path: Path, prompts: DatasetPrompts) -> None:
    [kind] = training_queries(request(tmp_path, {"name": "online_dpo"}, task=prompts, judge="somebody"))
    assert kind.most == 2 * (80 // 2 + 5 * 2)


def test_without_guide_and_judge_nobody_is_asked(tmp_path: Path) -> None:
    assert training_queries(request(tmp_path, {"name": "aggrevated"})) == []
