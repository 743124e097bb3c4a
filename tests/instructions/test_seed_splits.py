from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.near_duplicates import near_duplicate, same_cluster
from teams_dagster.instructions.seed_splits import (
    EmptySplitError,
    dataset_sides,
    is_policy_validation,
    policy_sides,
    policy_split_of,
    seed_clusters,
    split_of,
)
from teams_dagster.instructions.seeds import Seed, load_seeds, seed_id_of, shipped_seeds_path
from tests.support.properties import example_count


def seed(text: str, material: str = "") -> Seed:
    instruction = Instruction(text, material)
    return Seed(seed_id_of(instruction), instruction, "", "seeds.jsonl", 1)


def family(number: int, member: int) -> Seed:
    """Members of a family differ in their last word; families share none."""
    return seed(" ".join(f"f{number}w{k}" for k in range(20)) + f" m{member}")


def test_near_duplicate_seeds_share_a_cluster_named_after_the_first() -> None:
    clusters = seed_clusters([family(1, 1), family(2, 1), family(1, 2), family(1, 3)])
    assert clusters[family(1, 2).seed_id] == clusters[family(1, 3).seed_id] == family(1, 1).seed_id
    assert clusters[family(2, 1).seed_id] == family(2, 1).seed_id


def test_a_seed_near_to_two_clusters_joins_them() -> None:
    words = [f"w{k}" for k in range(40)]
    left, bridge, right = (seed(" ".join(words[k : k + 30])) for k in (0, 4, 8))
    assert not same_cluster(left.instruction, right.instruction)
    assert set(seed_clusters([left, right, bridge]).values()) == {left.seed_id}


def test_a_seed_given_twice_counts_once() -> None:
    assert len(seed_clusters([family(1, 1), family(1, 1)])) == 1


@settings(max_examples=example_count(25))
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=20, unique=True),
    st.lists(st.tuples(st.integers(9, 15), st.integers(0, 3)), max_size=20, unique=True),
)
def test_adding_seeds_moves_no_earlier_seed(old, new) -> None:
    before = seed_clusters([family(*key) for key in old])
    after = seed_clusters([family(*key) for key in (*old, *new)])
    assert {seed_id: after[seed_id] for seed_id in before} == before


@settings(max_examples=example_count(25))
@given(st.permutations([(number, 0) for number in range(12)]))
def test_a_seed_like_no_other_keeps_its_side_wherever_it_stands(order) -> None:
    clusters = seed_clusters([family(*key) for key in order])
    assert all(seed_id == cluster_id for seed_id, cluster_id in clusters.items())


@settings(max_examples=example_count(25))
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=2, max_size=30, unique=True))
def test_near_duplicates_never_straddle_a_split(keys) -> None:
    seeds = [family(*key) for key in keys]
    clusters = seed_clusters(seeds)
    for a in seeds:
        for b in seeds:
            if near_duplicate(a.instruction, b.instruction):
                assert split_of(clusters[a.seed_id]) == split_of(clusters[b.seed_id])
                assert policy_split_of(clusters[a.seed_id]) == policy_split_of(clusters[b.seed_id])


def test_the_shares_are_about_70_10_20_and_60_40_and_independent() -> None:
    names = [f"cluster {k}" for k in range(4000)]
    dataset = Counter(map(split_of, names))
    assert dataset["train"] / 4000 == pytest.approx(0.7, abs=0.03)
    assert dataset["validation"] / 4000 == pytest.approx(0.1, abs=0.02)
    policy = [policy_split_of(name) for name in names]
    assert policy.count("train") / 4000 == pytest.approx(0.6, abs=0.03)
    both = sum(split_of(name) == "held_out" and policy_split_of(name) == "held_out" for name in names)
    assert both / 4000 == pytest.approx(0.2 * 0.4, abs=0.02)


def test_the_shipped_seeds_fill_every_side() -> None:
    clusters = seed_clusters(load_seeds(shipped_seeds_path()).seeds)
    assert min(Counter(dataset_sides(clusters).values()).values()) >= 10
    assert min(Counter(policy_sides(clusters).values()).values()) >= 60


def test_too_few_seeds_are_an_error_that_names_the_empty_side() -> None:
    clusters = seed_clusters([family(1, 1), family(1, 2)])
    with pytest.raises(EmptySplitError, match=r"2 seeds in 1 clusters.*Add seeds"):
        dataset_sides(clusters)
    with pytest.raises(EmptySplitError, match="policy split"):
        policy_sides(clusters)


def test_a_quarter_of_the_policys_training_seeds_is_for_choosing_settings_and_independent_of_the_sides() -> None:
    drawn = [(policy_split_of(f"seed {number}"), is_policy_validation(f"seed {number}")) for number in range(4_000)]
    for side in ("train", "held_out"):
        kept = [validation for where, validation in drawn if where == side]
        assert 0.22 < sum(kept) / len(kept) < 0.28


def test_clusters_belong_to_who_asked_for_them() -> None:
    seeds = [family(1, 1), family(2, 1)]
    seed_clusters(seeds).clear()
    assert len(seed_clusters(seeds)) == 2
