"""What training a student with a large vocabulary on a CPU takes: the loss in chunks, a batch in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, LlamaConfig

from teams_dagster.dataset.sample import Example
from teams_dagster.student import trainer
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import bounded_validation, train_adapter
from teams_dagster.student.base import train_tokenizer
from teams_dagster.student.chat import MASKED, encode_example
from teams_dagster.student.loading import load_student
from teams_dagster.student.trainer import rows_at_once

VOCABULARY = 49_152
ONE_UPDATE = AdapterConfig(kind="lora", max_steps=1, batch_size=4, evaluations=1, learning_rate=1e-2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is little more than its vocabulary."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer: Any = train_tokenizer(["the colour of a box, a few words to learn"], vocabulary=280)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that anything in the block made."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and "mm" in func.__name__:
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.slow
def test_the_loss_in_chunks_is_the_plain_one_and_no_update_holds_all_logits(
    base: Path, examples: list[Example], tmp_path: Path
) -> None:
    student = load_student(base)
    encoded = [encode_example(student.tokenizer, example, 1000) for example in examples[:4]]
    losses, tokens = 0.0, 0
    with torch.no_grad():
        for example in encoded:
            logits = student.model(torch.tensor([example.input_ids])).logits[0, :-1]
            labels = torch.tensor(example.labels[1:])
            losses += float(torch.nn.functional.cross_entropy(logits, labels, ignore_index=MASKED, reduction="sum"))
            tokens += example.response_tokens
    with Largest() as largest:
        report = train_adapter(base, examples[:4], [], tmp_path, ONE_UPDATE)
    assert report.curve[-1].loss == pytest.approx(losses / tokens, abs=1e-5)
    positions = 4 * max(len(example.input_ids) for example in encoded)
    assert largest.elements < positions * VOCABULARY


@pytest.mark.slow
def test_a_batch_that_is_computed_in_parts_is_the_same_update(
    base: Path, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_adapter(base, examples[:4], [], tmp_path / "whole", ONE_UPDATE)
    monkeypatch.setattr(trainer, "SMALL", 0)
    monkeypatch.setattr(trainer, "TOKENS_AT_ONCE", 100)
    report = train_adapter(base, examples[:4], [], tmp_path / "parts", ONE_UPDATE)
    assert report.updates == 1
    whole, parts = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "parts"))
    assert max(float((whole[name] - parts[name]).abs().max()) for name in whole) < 1e-5


@pytest.mark.parametrize(
    ("batch", "longest", "rows"), [(8, 100, 8), (8, 300, 2), (6, 300, 3), (7, 300, 1), (8, 5000, 1)]
)
def test_the_rows_that_are_computed_at_once_divide_the_batch_and_fit(batch: int, longest: int, rows: int) -> None:
    assert rows_at_once(AdapterConfig(kind="lora", batch_size=batch), longest) == rows


def test_measuring_never_takes_more_than_half_of_what_training_takes(examples: list[Example]) -> None:
    many = [Example(f"{e.sample_id}-{i}", e.seed_id, e.instruction, e.response) for e in examples for i in range(50)]
    config = AdapterConfig(kind="lora", epochs=1, batch_size=8, evaluations=4)
    measured, unmeasured = bounded_validation(many, 160, config)
    assert len(measured) * (4 + 1) <= 0.5 * 3 * 160 < (len(measured) + 1) * (4 + 1)
    assert len(unmeasured) == len(many) - len(measured)
    assert {e.seed_id for e in measured} == {e.seed_id for e in many}


def test_few_validation_examples_are_all_measured(examples: list[Example]) -> None:
    assert bounded_validation(examples, 8, AdapterConfig(kind="lora", epochs=1)) == (examples, ())
