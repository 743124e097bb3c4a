"""The networks."""

import numpy as np
import pytest
import torch

from teams_dagster.policy.network import PolicyNetwork, ValueNetwork


def test_the_policy_is_a_distribution_with_exact_log_probabilities():
    allowed = np.array([True, True, False, True])
    log_probabilities = PolicyNetwork(3, (8,), allowed, ("k",))(torch.randn(5, 2, 3, dtype=torch.float64))
    assert log_probabilities.shape == (5, 2, 4)
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(5, 2, dtype=torch.float64))
    assert not log_probabilities.exp()[..., 2].any()


def test_the_first_policy_is_nearly_uniform():
    network = PolicyNetwork(50, (64,), np.ones(7, dtype=bool), ("k",))
    probabilities = network(torch.rand(20, 50, dtype=torch.float64)).exp()
    assert float((probabilities - 1 / 7).abs().max().detach()) < 0.02


def test_first_weights_belong_to_their_key_and_not_to_torchs_generator():
    torch.manual_seed(1)
    one = PolicyNetwork(4, (3,), np.ones(2, dtype=bool), ("a", 1)).weights()
    torch.manual_seed(2)
    same = PolicyNetwork(4, (3,), np.ones(2, dtype=bool), ("a", 1)).weights()
    other = PolicyNetwork(4, (3,), np.ones(2, dtype=bool), ("a", 2)).weights()
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["0.weight"], other["0.weight"])


def test_weights_go_out_and_come_back():
    one, other = ValueNetwork(4, (3,), ("a",)), ValueNetwork(4, (3,), ("b",))
    other.load(one.weights())
    inputs = torch.randn(6, 4, dtype=torch.float64)
    assert torch.equal(one(inputs), other(inputs))
    with pytest.raises(RuntimeError):
        ValueNetwork(5, (3,), ("c",)).load(one.weights())
