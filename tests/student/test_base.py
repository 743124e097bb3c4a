from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from teams_dagster.student.base import BaseReport, build_embedded_base, contaminated, corpus_texts, dialogues, passages
from teams_dagster.student.loading import load_student


def test_pre_training_learns(base_report: tuple[Path, BaseReport]) -> None:
    _, report = base_report
    assert report.steps == 20
    assert report.curve[-1].step == 20
    assert report.curve[-1].loss < report.curve[0].loss < math.log(report.vocabulary)


def test_the_base_is_an_ordinary_small_hugging_face_folder(base_report: tuple[Path, BaseReport]) -> None:
    folder, report = base_report
    assert (folder / "model.safetensors").exists()
    assert not list(folder.glob("*.bin"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(p.numel() for p in model.parameters()) == report.parameters < 1_000_000
    assert load_student(folder).template == "tokenizer"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.rand(1)  # the caller's random state plays no part
        build_embedded_base(tmp_path / name, seed=seed, steps=2)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_pre_training_leaves_the_callers_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_embedded_base(tmp_path, seed=0, steps=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("steps", [1, 10])
def test_a_run_of_few_steps_is_a_run(tmp_path: Path, steps: int) -> None:
    assert build_embedded_base(tmp_path, seed=0, steps=steps).steps == steps


def test_the_texts_share_no_thirteen_words_with_the_seeds() -> None:
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    seeds = [json.loads(line) for line in lines]
    assert contaminated(f"{seed['instruction']}\n{seed['input']}\n{seed.get('output', '')}" for seed in seeds) == []


def test_a_copied_run_of_thirteen_words_is_found() -> None:
    words = max(passages(), key=len).split()
    clean = "A sentence that nobody wrote into the texts which this product ships for its student to read."
    assert contaminated([clean, "Before. " + " ".join(words[2:20]) + " after."]) != []
    assert contaminated([clean]) == []


def test_there_are_many_texts_and_no_two_are_alike() -> None:
    assert len(passages()) > 400
    assert len(dialogues()) > 2000
    assert len(set(corpus_texts())) == len(corpus_texts())
    assert sum(bool(d.instruction.input) for d in dialogues()) > 500
