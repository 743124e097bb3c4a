from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.chat import encode_prompt
from teams_dagster.student.loading import load_adapter, load_tokenizer
from teams_dagster.student.merging import merge_adapter
from tests.support.layouts import tiny_layout


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, examples: list[Example]) -> tuple[Path, Path]:
    base = tiny_layout("mistral", tmp_path_factory.mktemp("base"))
    folder = tmp_path_factory.mktemp("adapter")
    settings = AdapterConfig(kind="lora", learning_rate=5e-3, max_steps=3, template="alpaca")
    train_adapter(base, examples, [], folder, settings)
    return base, folder


def test_the_merged_model_answers_as_base_and_adapter_do(
    adapter: tuple[Path, Path], examples: list[Example], tmp_path: Path
) -> None:
    merge_adapter(*adapter, tmp_path / "whole")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    apart = load_adapter(*adapter)
    tokenizer, _ = load_tokenizer(tmp_path / "whole")
    prompt = encode_prompt(tokenizer, examples[0].instruction)
    assert prompt == encode_prompt(apart.tokenizer, examples[0].instruction)
    with torch.no_grad():
        ids = torch.tensor([prompt])
        assert torch.allclose(whole(ids).logits, apart.model(ids).logits, atol=1e-4)
    assert {path.suffix for path in (tmp_path / "whole").iterdir()} <= {".json", ".safetensors", ".jinja"}


def test_a_folder_that_holds_something_is_left_alone(adapter: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(FileExistsError, match="holds something already"):
        merge_adapter(*adapter, tmp_path)
