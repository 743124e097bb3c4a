"""Returns and advantages against their definitions, summed by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.policy.estimators import (
    advantages,
    discounted_returns,
    explained_variance,
    masked_mean,
    normalised,
)

NUMBER = st.floats(-5, 5)


@st.composite
def batches(draw):
    episodes, steps = draw(st.integers(1, 4)), draw(st.integers(1, 7))

    def numbers(shape):
        return np.array(draw(st.lists(NUMBER, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))).reshape(
            shape
        )

    lengths = np.array(draw(st.lists(st.integers(0, steps), min_size=episodes, max_size=episodes)))
    valid = np.arange(steps) < lengths[:, None]
    shape = (episodes, steps)
    return numbers(shape), numbers(shape), valid, numbers((episodes,)), draw(st.floats(0.1, 1)), draw(st.floats(0, 1))


def tensors(*arrays):
    return (torch.from_numpy(array) for array in arrays)


@given(batches())
def test_gae_is_the_discounted_sum_of_temporal_differences(batch):
    rewards, values, valid, final, gamma, decay = batch
    expected = np.zeros_like(rewards)
    for row, length in enumerate(valid.sum(1)):
        following = [*values[row, 1:length], final[row]]
        deltas = [rewards[row, t] + gamma * following[t] - values[row, t] for t in range(length)]
        for t in range(length):
            expected[row, t] = sum((gamma * decay) ** (u - t) * deltas[u] for u in range(t, length))
    r, v, m, f = tensors(rewards, values, valid, final)
    np.testing.assert_allclose(advantages(r, v, m, f, gamma=gamma, decay=decay).numpy(), expected, atol=1e-9)


@given(batches())
def test_returns_are_discounted_sums_that_end_in_the_final_value(batch):
    rewards, _, valid, final, gamma, _ = batch
    expected = np.zeros_like(rewards)
    for row, length in enumerate(valid.sum(1)):
        for t in range(length):
            earned = sum(gamma ** (u - t) * rewards[row, u] for u in range(t, length))
            expected[row, t] = earned + gamma ** (length - t) * final[row]
    r, m, f = tensors(rewards, valid, final)
    np.testing.assert_allclose(discounted_returns(r, m, f, gamma=gamma).numpy(), expected, atol=1e-9)


@given(batches())
def test_with_decay_one_the_advantage_is_the_return_less_the_value(batch):
    rewards, values, valid, final, gamma, _ = batch
    r, v, m, f = tensors(rewards, values, valid, final)
    left = advantages(r, v, m, f, gamma=gamma, decay=1.0)
    right = torch.where(m, discounted_returns(r, m, f, gamma=gamma) - v, 0.0)
    torch.testing.assert_close(left, right, atol=1e-9, rtol=1e-9)


@given(batches())
def test_what_stands_at_invalid_steps_changes_nothing(batch):
    rewards, values, valid, final, gamma, decay = batch
    r, v, m, f = tensors(rewards, values, valid, final)
    noise = torch.where(m, 0.0, 99.0)
    changed = advantages(r + noise, v - noise, m, f, gamma=gamma, decay=decay)
    assert torch.equal(changed, advantages(r, v, m, f, gamma=gamma, decay=decay))


def test_normalised_has_mean_zero_and_deviation_one_over_valid_steps():
    values = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 2
    valid = torch.arange(6) < torch.tensor([6, 3, 0, 1, 5])[:, None]
    result = normalised(values, valid)
    assert float(result[valid].mean()) == pytest.approx(0, abs=1e-12)
    assert float(result[valid].std(unbiased=False)) == pytest.approx(1, abs=1e-6)
    assert not result[~valid].any()


def test_equal_values_are_normalised_to_zero_and_not_to_noise():
    values, valid = torch.full((2, 3), 4.0, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(normalised(values, valid), torch.zeros(2, 3, dtype=torch.float64))


def test_a_batch_without_a_valid_step_is_an_error():
    with pytest.raises(ValueError, match="no valid step"):
        masked_mean(torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.bool))


def test_explained_variance_is_one_for_the_truth_and_zero_for_a_constant():
    target, valid = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3, dtype=torch.bool)
    assert explained_variance(target, target, valid) == 1.0
    assert explained_variance(torch.zeros(2, 3), target, valid) == pytest.approx(0.0)
    assert explained_variance(target, torch.ones(2, 3), valid) == 0.0
