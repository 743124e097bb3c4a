"""What is measured beside the reward."""

import math

import pytest
import torch

from teams_dagster.rlgf.config import RLGFConfig, WeightsConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.report import distinct, measured
from tests.support.small_llama import END, small_llama, text

TEXTS = [text("3 4 3 0", reward=1.0), text("3 4", reward=0.0)]


def learner_of():
    return TokenLearner(small_llama(), RLGFConfig(weights=WeightsConfig(kind="full")))


def test_distinct_runs_are_counted_over_all_texts_together():
    assert distinct(TEXTS, 1) == pytest.approx(3 / 6)
    assert distinct(TEXTS, 2) == pytest.approx(3 / 4)
    assert distinct([text("3")], 2) == 0.0


def test_an_untrained_policy_is_no_distance_from_the_base():
    found = measured(learner_of(), TEXTS, END)
    assert found.kl == 0.0
    assert (found.reward, found.length, found.ended) == (0.5, 3.0, 0.5)
    assert found.reward_deviation == pytest.approx(math.sqrt(0.5))


def test_perplexity_is_the_bases_whatever_the_policy_became():
    learner = learner_of()
    before = measured(learner, TEXTS, END)
    with torch.no_grad():
        for weight in learner.models.trained(POLICY).values():
            weight.mul_(1.5)
    after = measured(learner, TEXTS, END)
    assert after.perplexity == before.perplexity
    assert after.kl != 0.0
