"""Families of models that people fine-tune, tiny and with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.answering import respond
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import load_adapter, load_tokenizer
from tests.support.layouts import LAYOUTS, tiny_layout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, tiny_layout(request.param, tmp_path_factory.mktemp(request.param))


def config(**changes: object) -> AdapterConfig:
    settings = {"kind": "lora", "learning_rate": 5e-3, "max_steps": 4, "batch_size": 4, "max_length": 256} | changes
    return AdapterConfig.model_validate(settings)


def test_an_adapter_trains_saves_loads_and_answers(
    layout: tuple[str, Path], examples: list[Example], tmp_path: Path
) -> None:
    name, base = layout
    report = train_adapter(base, examples[:6], examples[6:], tmp_path, config())
    losses = [point.validation_loss for point in report.curve if point.validation_loss is not None]
    assert losses[-1] < losses[0]
    assert report.template == ("alpaca" if name == "llama" else "tokenizer")
    assert set(report.target_modules) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert isinstance(respond(load_adapter(base, tmp_path), examples[0].instruction, max_new_tokens=4), str)


def test_packed_examples_do_not_see_each_other(
    layout: tuple[str, Path], examples: list[Example], tmp_path: Path
) -> None:
    apart, together = (
        train_adapter(
            layout[1], examples, [], tmp_path / str(packing), config(max_steps=2, batch_size=8, packing=packing)
        )
        for packing in (False, True)
    )
    losses = [[point.loss for point in report.curve] for report in (apart, together)]
    assert losses[1] == pytest.approx(losses[0], abs=2e-5)


def test_alpacas_prompt_begins_as_the_base_was_pretrained(tmp_path: Path, examples: list[Example]) -> None:
    for name, begins in (("llama", True), ("qwen2", False)):
        tokenizer, template = load_tokenizer(tiny_layout(name, tmp_path / name), "alpaca")
        assert template == "alpaca"
        prompt = encode_prompt(tokenizer, examples[0].instruction)
        assert (prompt[0] == tokenizer.bos_token_id) is begins
