from __future__ import annotations

import pytest

from teams_dagster.evaluation.heldout import loss_difference, loss_per_token
from teams_dagster.student.scoring import ResponseScore

SEEDS = ["a", "a", "b", "c"]
MODEL = [ResponseScore(-4.0, 2), ResponseScore(-3.0, 3), ResponseScore(-10.0, 4), ResponseScore(-1.0, 1)]
BASE = [ResponseScore(-5.0, 2), ResponseScore(-4.5, 3), ResponseScore(-12.0, 4), ResponseScore(-1.5, 1)]


def test_loss_weighs_every_token_alike() -> None:
    assert loss_per_token(MODEL, SEEDS).value == pytest.approx(18 / 10)
    assert loss_per_token(MODEL, SEEDS).clusters == 3


def test_a_difference_is_that_of_the_losses_with_a_smaller_error_than_either() -> None:
    difference = loss_difference(MODEL, BASE, SEEDS)
    assert difference.value == pytest.approx(loss_per_token(MODEL, SEEDS).value - loss_per_token(BASE, SEEDS).value)
    assert difference.stderr is not None
    errors = [loss_per_token(scores, SEEDS).stderr for scores in (MODEL, BASE)]
    assert all(error is not None and difference.stderr < error for error in errors)


def test_a_model_does_not_differ_from_itself() -> None:
    assert loss_difference(MODEL, MODEL, SEEDS).value == 0
    assert loss_difference(MODEL, MODEL, SEEDS).stderr == 0
