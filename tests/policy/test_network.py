"""The networks and the critic's fit."""

import numpy as np
import pytest
import torch

from teams_dagster.policy.config import CriticConfig
from teams_dagster.policy.critic import fit_critic
from teams_dagster.policy.estimators import explained_variance
from teams_dagster.policy.network import PolicyNetwork, ValueNetwork
from teams_dagster.streams import generator


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


def test_the_critic_learns_a_function_of_the_features():
    stream = generator("critic")
    features = torch.from_numpy(stream.normal(size=(40, 6, 5)))
    targets = torch.sin(features[..., 0]) + features[..., 1]
    valid = torch.from_numpy(np.arange(6) < stream.integers(1, 7, size=40)[:, None])
    targets = torch.where(valid, targets, 1e6)
    critic = ValueNetwork(5, (16,), ("k",))
    loss = fit_critic(critic, features, targets, valid, CriticConfig(iterations=50))
    with torch.no_grad():
        assert explained_variance(critic(features), targets, valid) > 0.9
    assert loss < 0.2


def test_a_target_that_is_not_finite_is_an_error():
    features, valid = torch.ones(1, 2, 3, dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    targets = torch.full((1, 2), float("nan"), dtype=torch.float64)
    with pytest.raises(ValueError, match="loss"):
        fit_critic(ValueNetwork(3, (2,), ("k",)), features, targets, valid, CriticConfig())
