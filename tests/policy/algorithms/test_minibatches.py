"""Passes over a batch."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.policy.algorithms.minibatches import minibatches, rows, take


@given(st.integers(1, 200), st.integers(0, 70))
def test_a_pass_meets_every_row_once(count, size):
    everything = torch.arange(count)
    met = torch.cat([take(everything, index) for index in minibatches(count, size, ("k",))])
    assert sorted(met.tolist()) == everything.tolist()


@given(st.integers(2, 200), st.integers(1, 70))
def test_minibatches_have_the_size_asked_for_except_the_last(count, size):
    parts = [len(take(torch.arange(count), index)) for index in minibatches(count, size, ("k",))]
    assert all(part == min(size, count) for part in parts[:-1])
    assert 0 < parts[-1] <= size


def test_the_order_belongs_to_its_key():
    def order(*key: str | int) -> torch.Tensor:
        return torch.cat([take(torch.arange(50), index) for index in minibatches(50, 8, key)])

    one, same, other = order("a", 1), order("a", 1), order("a", 2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_torchs_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    minibatches(50, 8, ("k",))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_masked_rows_come_in_the_order_of_episodes_and_steps():
    values = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.from_numpy(np.arange(4) < np.array([[2], [0], [3]]))
    assert torch.equal(rows(values, mask), values[mask])


def test_all_rows_are_taken_without_a_copy():
    values = torch.zeros(3, 4, 2)
    assert rows(values, torch.ones(3, 4, dtype=torch.bool)).data_ptr() == values.data_ptr()
