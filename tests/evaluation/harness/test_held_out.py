from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import Question
from teams_dagster.evaluation.harness.held_out import answer_metrics, read_held_out, write_held_out


def questions(count: int) -> list[Question]:
    return [
        Question(
            Example(f"s{i}", f"seed-{i}", Instruction("Say it.", "Loudly."), "right"),
            ("right", "a", "b", "c"),
            (1,) * 4,
        )
        for i in range(count)
    ]


def test_the_answer_points_at_the_response_wherever_it_stands(tmp_path: Path) -> None:
    write_held_out(questions(200), tmp_path / "held_out.jsonl", seed=0)
    documents = [json.loads(line) for line in (tmp_path / "held_out.jsonl").read_text().splitlines()]
    assert all(document["choices"][document["answer"]] == "right" for document in documents)
    assert all(sorted(document["choices"]) == ["a", "b", "c", "right"] for document in documents)
    places = Counter(document["answer"] for document in documents)
    assert all(25 < places[place] < 75 for place in range(4))


def test_the_prompt_is_the_users_turn_of_training(tmp_path: Path) -> None:
    write_held_out(questions(1), tmp_path / "held_out.jsonl", seed=0)
    (document,) = read_held_out(held_out=str(tmp_path / "held_out.jsonl"), version=1.0)["test"].to_list()
    assert document["prompt"] == "Say it.\n\n### Input:\nLoudly."


def test_a_task_without_its_file_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="name it in the metadata as 'held_out'"):
        read_held_out(version=1.0)


def test_the_loss_is_by_the_byte_of_utf_8() -> None:
    metrics = answer_metrics({"response": "naïve"}, [(-math.log(8), True)])
    assert metrics == {"nats_per_byte": pytest.approx(math.log(8) / 6), "greedy_match": 1.0}
