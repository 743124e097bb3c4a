from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.student.rows import LengthGrouped

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=300)


@given(lengths=LENGTHS, per_update=st.integers(1, 16), seed=st.integers(0, 5))
def test_every_example_is_met_once_a_pass(lengths: list[int], per_update: int, seed: int) -> None:
    assert sorted(LengthGrouped(lengths, per_update, seed)) == list(range(len(lengths)))


def test_the_order_is_a_function_of_seed_and_pass() -> None:
    lengths = list(range(100))
    order = LengthGrouped(lengths, 4, seed=1)
    first = list(order)
    assert list(LengthGrouped(lengths, 4, seed=1)) == first
    order.epoch = 1
    assert list(order) != first
    assert list(LengthGrouped(lengths, 4, seed=2)) != first


def test_examples_of_like_length_share_an_update() -> None:
    lengths = [(7 * k) % 400 for k in range(400)]
    order = list(LengthGrouped(lengths, 8, seed=0))
    updates = [order[at : at + 8] for at in range(0, 400, 8)]
    spread = [max(lengths[k] for k in update) - min(lengths[k] for k in update) for update in updates]
    assert max(spread) <= 8
