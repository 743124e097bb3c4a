"""SmolLM2 as student: real weights of 135 million parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from teams_dagster.weights import SMOLLM2

if TYPE_CHECKING:
    from teams_dagster.student.loading import Student


@pytest.fixture(scope="module")
def smollm2(small_models: Path) -> Student:
    """SmolLM2, loaded as students are."""
    from teams_dagster.student.loading import load_student

    return load_student(small_models / SMOLLM2)


def test_it_brings_its_own_template_and_ends_where_it_was_trained_to(smollm2: Student):
    turn = smollm2.tokenizer.apply_chat_template([{"role": "assistant", "content": "Yes."}], tokenize=False)

    assert smollm2.template == "tokenizer"
    assert str(turn).rstrip().endswith(str(smollm2.tokenizer.eos_token))
    assert smollm2.model.generation_config.eos_token_id == smollm2.tokenizer.eos_token_id


def test_one_update_lowers_its_loss(smollm2: Student):
    import torch

    rows = smollm2.tokenizer("The capital of Mongolia is Ulaanbaatar.", return_tensors="pt")
    optimizer = torch.optim.SGD(smollm2.model.parameters(), lr=1e-3)

    def loss() -> torch.Tensor:
        return smollm2.model(**rows, labels=rows["input_ids"]).loss

    before = loss()
    before.backward()
    optimizer.step()
    optimizer.zero_grad()

    with torch.inference_mode():
        assert loss() < before
