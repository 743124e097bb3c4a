"""Advantages of tokens as the choices of the clipped surrogate."""

import pytest
import torch

from teams_dagster.rlgf.gains import Gains

TRAINED = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
WORTH = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
OLD = torch.tensor([[-1.0, -2.0, -9.0], [-9.0, -9.0, -9.0], [-1.0, -1.0, -4.0]], dtype=torch.float64)


def surrogate(counting):
    """Where the policy did not move, the surrogate is the mean advantage."""
    gains = Gains(WORTH, TRAINED, counting)
    return float(gains.judged(OLD).surrogate(gains.of_choices(OLD)))


@pytest.mark.parametrize(("counting", "mean"), [("tokens", 8 / 5), ("texts", 1.5), ("whole", 1.5)])
def test_what_the_mean_advantage_is_over(counting, mean):
    assert surrogate(counting) == pytest.approx(mean)


def test_a_whole_texts_log_probability_is_the_sum_of_its_trained_tokens():
    found = Gains(WORTH, TRAINED, "whole").of_choices(OLD)
    assert found.squeeze(1).tolist() == [-3.0, -6.0]


@pytest.mark.parametrize(("counting", "counts"), [("tokens", [2, 0, 3]), ("texts", [2, 0, 3]), ("whole", [1, 0, 1])])
def test_how_many_choices_a_text_is(counting, counts):
    assert Gains(WORTH, TRAINED, counting).choices.tolist() == counts


def test_a_text_without_trained_tokens_teaches_nothing():
    assert Gains(WORTH, TRAINED).texts.tolist() == [0, 2]
