"""A student is trained and measured once; a study that goes on reads what was found of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.constraints.prompts import constrained_prompts
from teams_dagster.evaluation.outcome import students
from teams_dagster.evaluation.outcome.items import Items
from teams_dagster.evaluation.outcome.plan import OutcomePlan
from teams_dagster.evaluation.outcome.students import Measured, measured_student
from teams_dagster.student.adapter_config import AdapterConfig

FOUND = Measured((-1.5, -2.25), (3, 4), (1.0, 0.5), {"prompt": "Übung"}, updates=2, final_loss=0.5)

ITEMS = Items((), (), constrained_prompts()[:1], {})

PLAN = OutcomePlan(queries=10, training_queries=0, rows=2, students=3, adapter=AdapterConfig(kind="lora"))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The students that are trained instead of read."""
    found: list[int] = []

    def train(
        base: str, rows: Sequence[Example], items: Items, plan: OutcomePlan, folder: Path, student: int, _: object
    ):
        found.append(student)
        return FOUND

    monkeypatch.setattr(students, "_train_and_measure", train)
    return found


def measure(folder: Path, student: int = 0, text: str = "Do it.") -> Measured:
    rows = [Example("row", "seed", Instruction(text), "Done.")]
    return measured_student("uniform", student, "base", rows, ITEMS, PLAN, folder, lambda _: None)


def test_what_was_measured_is_read_as_it_was_found(tmp_path: Path, trained: list[int]):
    assert measure(tmp_path) == measure(tmp_path) == FOUND
    assert trained == [0]


def test_another_seed_or_other_rows_are_another_student(tmp_path: Path, trained: list[int]):
    measure(tmp_path)
    measure(tmp_path, student=1)
    measure(tmp_path, text="Do something else.")
    assert trained == [0, 1, 0]
