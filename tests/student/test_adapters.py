from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import (
    AdapterConfig,
    AdapterKind,
    departures_from_paper,
    paper_config,
    too_few_updates,
)
from teams_dagster.student.adapters import AdapterReport, train_adapter
from teams_dagster.student.chat import encode_example
from teams_dagster.student.loading import load_adapter, load_student
from teams_dagster.student.scoring import score_encoded


def config(kind: AdapterKind, **changes: Any) -> AdapterConfig:
    settings: dict[str, Any] = {"kind": kind, "learning_rate": 5e-3, "max_steps": 8, "batch_size": 4} | changes
    return AdapterConfig(**settings)


@pytest.fixture(scope="module", params=["lora", "qlora"])
def trained(
    request: pytest.FixtureRequest, base: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, AdapterReport]:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, train_adapter(base, examples[:6], examples[6:], folder, config(request.param))


@pytest.mark.slow
def test_training_lowers_the_validation_loss_from_the_bases(trained: tuple[Path, AdapterReport]) -> None:
    curve = [p.validation_loss for p in trained[1].curve if p.validation_loss is not None]
    assert trained[1].curve[0].step == 0
    assert curve[-1] < curve[0] - 0.1
    assert trained[1].updates == 8
    assert [p.loss for p in trained[1].curve[1:]].count(None) == 0


@pytest.mark.slow
def test_the_reported_base_loss_is_the_evaluations(
    base: Path, examples: list[Example], trained: tuple[Path, AdapterReport]
) -> None:
    base_student = load_student(base, four_bit=trained[1].kind == "qlora")
    scores = score_encoded(base_student, [encode_example(base_student.tokenizer, e, 1000) for e in examples[6:]])
    loss = -sum(s.log_probability for s in scores) / sum(s.tokens for s in scores)
    assert trained[1].curve[0].validation_loss == pytest.approx(loss, abs=1e-3)


def test_an_adapter_is_saved_in_peft_format_and_loads_with_the_same_logits(
    base: Path, examples: list[Example], trained: tuple[Path, AdapterReport]
) -> None:
    folder, report = trained
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "recipe.json",
    }
    layers = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert layers == sorted(layers)
    student = load_adapter(base, folder)
    encoded = [encode_example(student.tokenizer, e, 1000) for e in examples[6:]]
    scores = score_encoded(student, encoded)
    loss = -sum(s.log_probability for s in scores) / sum(s.tokens for s in scores)
    last = next(p.validation_loss for p in reversed(report.curve) if p.validation_loss is not None)
    assert loss == pytest.approx(last, abs=1e-3)
    ids = torch.tensor([encoded[0].input_ids])
    with torch.no_grad():
        assert torch.equal(student.model(ids).logits, load_adapter(base, folder).model(ids).logits)


def test_a_qlora_base_really_is_four_bit_and_a_lora_base_is_not(trained: tuple[Path, AdapterReport]) -> None:
    report = trained[1]
    if report.kind == "lora":
        assert report.four_bit is None
        return
    assert report.four_bit is not None
    assert report.four_bit.layers == 3 * 7
    assert report.four_bit.bits_per_weight == 4.0
    assert report.four_bit.logit_gap > 1e-3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_adapter(
    base: Path, examples: list[Example], trained: tuple[Path, AdapterReport], tmp_path: Path
) -> None:
    folder, report = trained
    torch.rand(2)
    again = train_adapter(base, examples[:6], examples[6:], tmp_path, config(report.kind))
    assert again == report
    name = "adapter_model.safetensors"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_measuring_validation_changes_no_weight(
    base: Path, examples: list[Example], trained: tuple[Path, AdapterReport], tmp_path: Path
) -> None:
    folder, report = trained
    train_adapter(base, examples[:6], [], tmp_path, config(report.kind))
    name = "adapter_model.safetensors"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_training_opens_no_connection_and_sends_no_usage_ping(
    base: Path, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import _telemetry

    def refuse(*args: object) -> None:
        raise AssertionError(f"a connection was opened: {args[1:]}")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    train_adapter(base, examples, [], tmp_path, config("lora", max_steps=1))
    assert _telemetry._TELEMETRY_QUEUE.empty()
    assert _telemetry._TELEMETRY_THREAD is None


def test_examples_that_do_not_fit_are_named(base: Path, examples: list[Example], tmp_path: Path) -> None:
    long = Example("long", "seed-9", Instruction("Repeat."), "again and " * 100)
    report = train_adapter(base, [*examples, long], [], tmp_path, config("lora", max_steps=1, max_length=64))
    assert report.too_long == ("long",)
    assert report.examples == len(examples)


def test_training_on_nothing_is_an_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training examples"):
        train_adapter(base, [], [], tmp_path, config("lora"))


def test_an_adapter_refuses_a_base_that_renders_prompts_otherwise(
    base: Path, trained: tuple[Path, AdapterReport], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(ValueError, match="train it again on this base"):
        load_adapter(other, trained[0])


def test_a_base_without_a_template_gets_alpacas_and_says_so(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(base, bare)
    (bare / "chat_template.jinja").unlink()
    assert load_student(bare).template == "alpaca"
    report = train_adapter(bare, examples, [], tmp_path / "adapter", config("lora", max_steps=1))
    assert report.template == "alpaca"
    assert json.loads((tmp_path / "adapter" / "recipe.json").read_text())["template"] == "alpaca"


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"rank": 0}, {"learning_rate": 0.0}, {"dropout": 1.0}, {"unknown": 1}):
        with pytest.raises(ValueError, match="validation error"):
            config("lora", **wrong)


@pytest.mark.slow
def test_a_training_that_was_cut_off_ends_with_the_same_weights_and_curve(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    settings = config("lora", max_steps=10, batch_size=2, dropout=0.1, checkpoint_every=2)
    whole = train_adapter(base, examples[:6], examples[6:], tmp_path / "whole", settings)

    def cut(line: str) -> None:
        if "step 7/" in line:
            raise KeyboardInterrupt

    checkpoints = tmp_path / "checkpoints"
    with pytest.raises(KeyboardInterrupt):
        train_adapter(base, examples[:6], examples[6:], tmp_path / "cut", settings, cut, checkpoints=checkpoints)
    said: list[str] = []
    again = train_adapter(
        base, examples[:6], examples[6:], tmp_path / "cut", settings, said.append, checkpoints=checkpoints
    )
    assert said[0] == "going on from checkpoint-6 of an interrupted training"
    assert again == whole
    name = "adapter_model.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_training_that_gets_worse_stops_and_keeps_the_best(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    settings = config("lora", learning_rate=0.03, max_steps=40, batch_size=2, patience=2, evaluations=20)
    report = train_adapter(base, examples[:6], examples[6:], tmp_path, settings)
    losses = {p.step: p.validation_loss for p in report.curve if p.validation_loss is not None}
    assert report.updates < report.planned_updates == 40
    kept = min((step for step in losses if step), key=lambda step: losses[step])
    assert report.kept_update == kept
    student = load_adapter(base, tmp_path)
    scores = score_encoded(student, [encode_example(student.tokenizer, e, 1000) for e in examples[6:]])
    loss = -sum(s.log_probability for s in scores) / sum(s.tokens for s in scores)
    assert loss == pytest.approx(losses[kept], abs=1e-3)


@pytest.mark.slow
def test_a_training_that_is_to_stop_after_some_updates_keeps_the_schedule_of_all(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    whole = config("lora", max_steps=8, batch_size=2)
    cut = whole.model_copy(update={"stop_after": 3})
    reports = [train_adapter(base, examples[:6], [], tmp_path / str(n), c) for n, c in enumerate((whole, cut))]
    assert (reports[1].updates, reports[1].planned_updates) == (3, 8)
    losses = [{p.step: p.loss for p in report.curve if p.loss is not None} for report in reports]
    assert losses[1] == {step: loss for step, loss in losses[0].items() if step <= 3}


def test_patience_without_validation_is_an_error(base: Path, examples: list[Example], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patience 1 needs validation examples"):
        train_adapter(base, examples, [], tmp_path, config("lora", patience=1))


def test_full_fine_tuning_saves_a_model_that_loads_as_it_was_trained(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    settings = paper_config("full").model_copy(update={"max_steps": 2, "gradient_accumulation": 1})
    report = train_adapter(base, examples[:6], examples[6:], tmp_path, settings)
    assert report.trainable_parameters > 700_000
    assert (report.template, load_adapter(base, tmp_path).template) == ("alpaca", "alpaca")
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_the_papers_adapter_says_how_it_departs_from_the_paper() -> None:
    assert departures_from_paper(paper_config("full")) == []
    assert departures_from_paper(paper_config("lora")) == [
        "lora instead of full fine-tuning",
        "learning_rate 0.0002 instead of 2e-05",
    ]
    shortened = paper_config("full").model_copy(update={"max_steps": 12, "batch_size": 4})
    assert departures_from_paper(shortened) == [
        "12 updates instead of 3.0 epochs",
        "examples_per_update 128 instead of 256",
    ]
    kept = ("template", "max_length", "epochs", "scheduler", "warmup_updates", "examples_per_update")
    full, lora = paper_config("full"), paper_config("lora")
    assert [getattr(lora, name) for name in kept] == [getattr(full, name) for name in kept]


def test_few_updates_are_said_to_be_few() -> None:
    assert "only 99 updates" in (too_few_updates(99) or "")
    assert too_few_updates(100) is None
