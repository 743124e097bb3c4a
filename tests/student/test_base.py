from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from teams_dagster.student.base import BaseReport, build_embedded_base
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 10])
def test_a_run_of_few_steps_is_a_run(tmp_path: Path, steps: int) -> None:
    assert build_embedded_base(tmp_path, seed=0, steps=steps).steps == steps
