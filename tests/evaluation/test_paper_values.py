"""What token-level trainings made of the adapter stands in the paper's table, a column for each algorithm."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.evaluation.paper import COLUMNS, TRAINED_ON, paper_columns, paper_table
from teams_dagster.evaluation.paper_values import of_training, token_trainings
from teams_dagster.evaluation.privacy import MembershipScore
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, Score
from teams_dagster.evaluation.stored import PRIVACY
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.evaluation import JudgeModel
from teams_dagster.store.facts.rlgf import RLGFScoreFacts, StageScores
from teams_dagster.store.tables import write_table

STOOD_ON = {"lora_model": "lora", "instruction_dataset": "data"}


def score(model: str, task: str, metric: str, value: float) -> Score:
    return Score(model, task, metric, value, None, 4, "m", "data")


def rate(model: str, against: str, value: float) -> WinRate:
    numbers: dict[str, Any] = {
        **dict.fromkeys(("wins", "ties", "losses", "unclear", "contradictory"), 1),
        **dict.fromkeys(("mean_length", "mean_length_base", "win_rate", "ci_low", "ci_high"), 0.0),
    }
    within: dict[str, Any] = {
        "length_controlled": value,
        "lc_low": value - 0.1,
        "lc_high": value + 0.1,
        "first_place_share": 0.5,
    }
    return WinRate(model, against, 4, 4, **numbers, **within, judge="j", model_version="m", dataset_version="data")


def attacked(model: str, auc: float) -> MembershipScore:
    return MembershipScore(model, auc, 0.01, auc - 0.02, auc + 0.02, 0.0, 0.0, 0.0, False, 9, 9, 4, ())


def trained(store: ArtefactStore, day: int, algorithm: str, value: float, **stood_on: str) -> None:
    """Scores of a training by `algorithm`, all of them made from `value`."""
    stages = [
        StageScores(
            stage=f"fine-tuning + {algorithm}",
            model_version=algorithm,
            heldout_loss=value,
            choice_accuracy=value,
            queries=100 + day,
            cost_nano_usd=day * 10**9,
        )
    ]
    about = {
        "inputs": STOOD_ON | stood_on | {"rlgf_model": algorithm},
        "config": {},
        "made_at": f"2026-11-{day:02}T00:00:00",
    }
    rows = [score("rlgf", HELD_OUT, "heldout_loss", value), score("rlgf", CHOICE, "choice_accuracy", value)]
    rates = [rate("rlgf", "base", value), rate("rlgf", "lora", 0.9), rate("lora", "base", 0.9)]
    with store.writing("rlgf_scores", f"{day}", about=about) as draft:
        write_table(draft.folder, "evaluation_scores", [asdict(row) | {"run_id": "r"} for row in rows])
        write_table(draft.folder, "win_rates", [asdict(each) | {"run_id": "r"} for each in rates])
        found = [asdict(attacked("base", 0.5)), asdict(attacked("rlgf", value))]
        (draft.folder / PRIVACY).write_text(json.dumps(found))
        facts = RLGFScoreFacts(judge=JudgeModel(provider="p", model="m"), questions=4, too_long=0, stages=stages)
        draft.finish(f"scores {day}", facts)


@pytest.fixture
def main_line(tmp_path: Path) -> tuple[ArtefactStore, Artefact]:
    """A store, and the scores of its adapter."""
    store = ArtefactStore(data_dir=str(tmp_path))
    about = {"inputs": STOOD_ON, "config": {}, "made_at": "2026-11-01T00:00:00"}
    with store.writing("evaluation_scores", "1", about=about) as draft:
        draft.finish("scores", {})
    return store, store.current("evaluation_scores")


def test_no_training_has_no_column(main_line: tuple[ArtefactStore, Artefact]) -> None:
    assert token_trainings(*main_line) == {}
    assert paper_columns(paper_table([])) == COLUMNS


def test_each_algorithm_has_a_column_with_what_its_last_training_came_to_and_took(
    main_line: tuple[ArtefactStore, Artefact],
) -> None:
    store, _ = main_line
    trained(store, 2, "ppo", 0.3)
    trained(store, 3, "grpo", 0.4)
    trained(store, 4, "ppo", 0.6)
    found = token_trainings(*main_line)
    assert {column: scores.data_version for column, scores in found.items()} == {
        "lora_ppo": "scores 4",
        "lora_grpo": "scores 3",
    }
    values = [value for column, scores in found.items() for value in of_training(scores, column)]
    told = {(value.whose, value.quantity): value.value for value in values}
    for column, value, day in (("lora_ppo", 0.6, 4), ("lora_grpo", 0.4, 3)):
        own = {quantity: number for (whose, quantity), number in told.items() if whose == column}
        scores = dict.fromkeys(("heldout_loss", "choice_accuracy", "win_rate", "membership_auc"), value)
        assert own == scores | {"queries": 100 + day, "cost": day}
    shown = paper_columns(paper_table(values))
    assert [heading for column, heading in shown.items() if column in TRAINED_ON] == ["LoRA + PPO", "LoRA + GRPO"]


def test_a_training_of_another_adapter_is_not_beside_this_one(main_line: tuple[ArtefactStore, Artefact]) -> None:
    trained(main_line[0], 2, "ppo", 0.3, lora_model="another")
    assert token_trainings(*main_line) == {}
