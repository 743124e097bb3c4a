from __future__ import annotations

from pathlib import Path

import pytest
import torch

from teams_dagster.student.loading import Student, load_student, logits_of, prove_four_bit


def test_gradients_still_flow_after_an_evaluation_pass(base: Path) -> None:
    """bitsandbytes would otherwise repack the layers in the first evaluation and lose their gradient."""
    student = load_student(base, four_bit=True)
    embeddings = student.model.get_input_embeddings()

    def gradient() -> torch.Tensor:
        inputs = embeddings(torch.tensor([[5, 6, 7, 8]])).detach().requires_grad_()
        student.model.train()
        student.model(inputs_embeds=inputs).logits.square().sum().backward()
        student.model.eval()
        assert inputs.grad is not None
        return inputs.grad

    before = gradient()
    with torch.no_grad():
        student.model(torch.tensor([[5, 6, 7, 8]]))
    assert torch.equal(gradient(), before)
    assert before.abs().max() > 0


def test_a_float_model_cannot_be_proved_four_bit(student: Student) -> None:
    with pytest.raises(ValueError, match="no layer of this model is 4-bit"):
        prove_four_bit(student.model, logits_of(student.model, [5, 6, 7]), [5, 6, 7])
