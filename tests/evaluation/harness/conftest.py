"""An adapter, questions about animals, and arithmetic of GSM8K's shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import draw_questions
from teams_dagster.evaluation.harness.held_out import write_held_out
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter

ANIMALS = ["owl", "cat", "dog", "bee", "fox", "cow", "hen", "rat"]
EXAMPLES = [
    Example(f"s{i}", f"seed-{i}", Instruction(f"Which animal is number {i}?", f"Try {i}."), f"It is the {name}.")
    for i, name in enumerate(ANIMALS)
]


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("held_out") / "held_out.jsonl"
    lengths = [len(example.response) for example in EXAMPLES]
    write_held_out(draw_questions(EXAMPLES, lengths, seed=0), path, seed=0)
    return path


@pytest.fixture(scope="session")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arithmetic") / "test.jsonl"
    rows = [
        {"question": f"Ann has {i} eggs and buys {i + 1}. How many?", "answer": f"{i}+{i + 1}\n#### {2 * i + 1}"}
        for i in range(8)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    train_adapter(base, EXAMPLES, [], folder, AdapterConfig(kind="lora", learning_rate=5e-3, max_steps=4, batch_size=8))
    return folder
