from __future__ import annotations

import pytest
import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.chat import encode_example, encode_prompt, encode_response
from teams_dagster.student.loading import Student
from teams_dagster.student.scoring import score_encoded


def test_a_score_is_the_sum_of_next_token_log_probabilities(student: Student, examples: list[Example]) -> None:
    example = examples[1]
    prompt = encode_prompt(student.tokenizer, example.instruction)
    response = encode_response(student.tokenizer, example.instruction, example.response)
    with torch.no_grad():
        logits = student.model(torch.tensor([prompt + response])).logits[0].double()
    table = torch.log_softmax(logits, dim=-1)
    expected = sum(table[len(prompt) - 1 + i, token].item() for i, token in enumerate(response))
    (score,) = score_encoded(student, [encode_example(student.tokenizer, example, 1000)])
    assert score.log_probability == pytest.approx(expected, abs=1e-3)
    assert score.tokens == len(response)
    assert score.loss == pytest.approx(-expected / len(response), abs=1e-4)


def test_sharing_a_batch_changes_a_score_by_no_more_than_float_noise(student: Student, examples: list[Example]) -> None:
    long = Example("long", "seed", Instruction("Tell me more."), "and so on " * 40)
    encoded = [encode_example(student.tokenizer, e, 1000) for e in [examples[0], long, *examples[1:]]]
    together = score_encoded(student, encoded)
    alone = [score_encoded(student, [e])[0] for e in encoded]
    for one, other in zip(together, alone, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
        assert one.tokens == other.tokens


def test_progress_reaches_the_number_of_examples(student: Student, examples: list[Example]) -> None:
    lines: list[str] = []
    score_encoded(student, [encode_example(student.tokenizer, e, 1000) for e in examples], progress=lines.append)
    assert lines[-1] == f"scored {len(examples)} of {len(examples)} responses"
