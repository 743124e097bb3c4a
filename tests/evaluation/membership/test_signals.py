from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.membership.audit import lowest_mean, response_signals, token_signals
from teams_dagster.student.chat import encode_example
from teams_dagster.student.loading import load_student
from teams_dagster.student.scoring import score_encoded


def test_a_token_is_measured_in_deviations_from_what_was_expected() -> None:
    probabilities = [0.5, 0.25, 0.25]
    given, normalised = token_signals(torch.tensor([probabilities] * 2).log(), torch.tensor([0, 2]))
    mean = sum(p * math.log(p) for p in probabilities)
    deviation = math.sqrt(sum(p * (math.log(p) - mean) ** 2 for p in probabilities))
    assert given.tolist() == pytest.approx([math.log(0.5), math.log(0.25)])
    assert normalised.tolist() == pytest.approx(
        [(math.log(0.5) - mean) / deviation, (math.log(0.25) - mean) / deviation]
    )


def test_a_token_that_cannot_come_adds_nothing_to_the_expectation() -> None:
    logits = torch.tensor([[0.0, 0.5, -math.inf]])
    without = token_signals(logits[:, :2], torch.tensor([0]))
    assert [value.item() for value in token_signals(logits, torch.tensor([0]))] == pytest.approx(
        [v.item() for v in without]
    )


@pytest.mark.parametrize(
    ("values", "mean"), [([3.0], 3.0), ([4.0, 1.0, 2.0], 1.0), ([float(i) for i in range(10)], 0.5)]
)
def test_the_lowest_fifth_is_averaged_and_one_token_at_least(values: list[float], mean: float) -> None:
    assert lowest_mean(torch.tensor(values)) == mean


def test_signals_do_not_depend_on_what_they_are_batched_with(base: Path) -> None:
    student = load_student(base)
    examples = [
        Example(f"s{i}", "k", Instruction("Say. " * (i % 5 + 1)), "It is so. " * (i % 7 + 1)) for i in range(12)
    ]
    encoded = [encode_example(student.tokenizer, example, 1024) for example in examples]
    together = response_signals(student, encoded)
    for example, signal, score in zip(encoded, together, score_encoded(student, encoded), strict=True):
        (alone,) = response_signals(student, [example])
        assert (signal.loss, signal.min_k) == pytest.approx((alone.loss, alone.min_k), abs=1e-4)
        assert signal.loss == pytest.approx(score.loss, abs=1e-5)
