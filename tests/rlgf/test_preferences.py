"""Pairs of texts of a prompt, and DPO's loss of them."""

import math

import torch

from teams_dagster.rlgf.preferences import dpo_losses, pairs_of


def test_the_text_with_more_reward_is_the_better_one():
    pairs = pairs_of(torch.tensor([1.0, 2.0, 5.0, 3.0]))
    assert (pairs.better.tolist(), pairs.worse.tolist()) == ([1, 2], [0, 3])


def test_texts_that_earned_alike_are_no_pair():
    pairs = pairs_of(torch.tensor([1.0, 1.0, 0.0, 3.0]))
    assert (pairs.better.tolist(), pairs.worse.tolist()) == ([3], [2])


def test_the_loss_is_the_log_sigmoid_of_the_difference_of_the_ratios():
    [loss] = dpo_losses(torch.tensor([0.7, -0.3]), beta=0.5).tolist()
    assert math.isclose(loss, math.log1p(math.exp(-0.5)), rel_tol=1e-6)
