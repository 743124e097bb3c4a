from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.membership.audit import LENGTH_RATIO, Candidate, matched_samples


def candidate(sample_id: str, seed_id: str, length: int, step: int) -> Candidate:
    return Candidate(Example(sample_id, seed_id, Instruction("?"), "!"), length, step)


def side(name: str) -> st.SearchStrategy[list[Candidate]]:
    rows = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 3)), max_size=25)
    return rows.map(
        lambda drawn: [
            candidate(f"{name}-{i}", f"{name}-seed-{seed}", length, step)
            for i, (seed, length, step) in enumerate(drawn)
        ]
    )


@given(side("member"), side("other"), st.integers(0, 3), st.integers(1, 10))
def test_both_sides_are_alike_in_step_and_length(
    members: list[Candidate], others: list[Candidate], seed: int, most: int
) -> None:
    known = {c.example.sample_id: c for c in (*members, *others)}
    shared = Counter(c.stratum for c in members) & Counter(c.stratum for c in others)
    if not shared:
        with pytest.raises(ValueError, match="are alike in step and length"):
            matched_samples(members, others, seed=seed, most=most)
        return
    chosen = matched_samples(members, others, seed=seed, most=most)
    strata = [Counter(known[example.sample_id].stratum for example in drawn) for drawn in chosen]
    assert strata[0] == strata[1]
    assert strata[0].total() == min(shared.total(), most)
    for drawn, given_ in zip(chosen, (members, others), strict=True):
        ids = [example.sample_id for example in drawn]
        assert ids == sorted(set(ids))
        assert set(ids) <= {c.example.sample_id for c in given_}
    assert chosen == matched_samples(members[::-1], others[::-1], seed=seed, most=most)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_lengths_of_a_stratum_differ_by_a_bounded_factor(one: int, other: int) -> None:
    if candidate("a", "a", one, 1).stratum == candidate("b", "b", other, 1).stratum:
        assert max(one, other) / min(one, other) <= LENGTH_RATIO * (1 + 1e-9)


def test_every_seed_gives_one_sample_before_any_gives_two() -> None:
    members = [candidate(f"m{s}-{k}", f"m{s}", 10, 1) for s in range(6) for k in range(5)]
    others = [candidate(f"o{s}-{k}", f"o{s}", 10, 1) for s in range(3) for k in range(2)]
    drawn, opposite = matched_samples(members, others, seed=0)
    assert len({example.seed_id for example in drawn}) == len(drawn) == 6
    assert Counter(example.seed_id for example in opposite) == {"o0": 2, "o1": 2, "o2": 2}


def test_another_seed_draws_others() -> None:
    members = [candidate(f"m{i}", f"m{i}", 10, 1) for i in range(30)]
    others = [candidate(f"o{i}", f"o{i}", 10, 1) for i in range(7)]
    assert matched_samples(members, others, seed=0)[0] != matched_samples(members, others, seed=1)[0]
