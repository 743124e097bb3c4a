"""The task of answering the instruction dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teams_dagster.core.instruction import Instruction, user_message
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.sample import Example
from teams_dagster.rlgf.dataset_task import DatasetPrompts, DatasetTask
from teams_dagster.rlgf.task import encoded
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import Student, load_student

TRAIN = [Example(f"t{i}", f"seed-{i % 2}", Instruction(f"Which colour is box {i}?", "red"), "Red.") for i in range(6)]
HELD_OUT = [Example(f"h{i}", f"held-{i}", Instruction(f"Name box {i}."), "One.") for i in range(3)]
SHARED = Example("h9", "held-9", TRAIN[0].instruction, "Red.")


@pytest.fixture(scope="module")
def student(base: Path) -> Student:
    return load_student(base, place="cpu")


def drawn(
    folder: Path, train: list[Example] = TRAIN, held_out: list[Example] = HELD_OUT, **more: Any
) -> DatasetPrompts:
    export_dataset(folder, {"train": train, "validation": [], "held_out": held_out})
    settings: dict[str, Any] = {"prompts": 4, "evaluation_prompts": 2, "seed": 0} | more
    return DatasetPrompts(train=folder / "train.parquet", held_out=folder / "held_out.parquet", **settings)


def said(examples: list[Example]) -> set[str]:
    return {user_message(example.instruction) for example in examples}


def test_it_is_trained_and_measured_on_either_side(student: Student, tmp_path: Path) -> None:
    task = drawn(tmp_path).task(student, 8)
    assert (len(task.prompts), len(task.evaluation)) == (4, 2)
    assert set(task.prompts) < said(TRAIN)
    assert set(task.evaluation) < said(HELD_OUT)


def test_the_same_seed_draws_the_same_and_another_one_others(student: Student, tmp_path: Path) -> None:
    choice = drawn(tmp_path, prompts=3)
    tasks = [choice.model_copy(update={"seed": seed}).task(student, 8) for seed in (0, 0, 1)]
    assert tasks[0] == tasks[1]
    assert tasks[0].prompts != tasks[2].prompts


def test_what_is_trained_on_is_not_measured_by(student: Student, tmp_path: Path) -> None:
    choice = drawn(tmp_path, held_out=[SHARED, *HELD_OUT], prompts=6, evaluation_prompts=9)
    assert set(choice.task(student, 8).evaluation) == said(HELD_OUT)
    assert choice.examples()[user_message(SHARED.instruction)].sample_id == "t0"


def test_an_instruction_without_room_for_an_answer_is_left_out(student: Student, tmp_path: Path) -> None:
    long = Example("long", "seed-9", Instruction("box " * student.context), "Red.")
    assert set(drawn(tmp_path, [long, *TRAIN], prompts=9).task(student, 8).prompts) == said(TRAIN)


def test_a_side_without_any_is_refused(student: Student, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of 6 instructions in train\.parquet leaves room for"):
        drawn(tmp_path).task(student, student.context)


def test_prompts_are_the_tokens_that_the_student_was_fine_tuned_with(student: Student, tmp_path: Path) -> None:
    task = drawn(tmp_path, prompts=6).task(student, 8)
    tokens = {prompt.prompt_id: list(prompt.tokens) for prompt in encoded(student.tokenizer, task.prompts, task.asks)}
    assert tokens == {
        user_message(each.instruction): encode_prompt(student.tokenizer, each.instruction) for each in TRAIN
    }


def test_its_reward_is_not_the_tasks_own() -> None:
    with pytest.raises(ValueError, match="is a judge's: give the training a reward that asks it"):
        DatasetTask(prompts=("a",), evaluation=("b",)).rewards(["a"], ["text"])
