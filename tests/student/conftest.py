"""A student to ask and score, and examples to do it with."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.loading import Student, load_student


@pytest.fixture(scope="session")
def student(base: Path) -> Student:
    return load_student(base)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    colours = ["red", "green", "blue", "white", "black", "brown", "grey", "pink"]
    return [
        Example(
            f"sample-{i}",
            f"seed-{i % 4}",
            Instruction(f"Which colour is box {i}?", f"Box {i} was painted {colour}." if i % 2 else ""),
            f"The colour of the box is {colour}.",
        )
        for i, colour in enumerate(colours)
    ]
