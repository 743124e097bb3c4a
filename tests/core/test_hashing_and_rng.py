import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.hashing import content_hash, content_hash_of_many
from teams_dagster.core.rng import generator, uniform


def test_a_hash_depends_on_where_one_part_ends_and_the_next_begins():
    assert content_hash("ab", "c") != content_hash("a", "bc")


def test_a_hash_does_not_depend_on_the_order_of_a_mapping():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})


def test_a_hash_is_the_same_in_every_process():
    assert content_hash("instruction", "Name a river.", "") == "35e07ae0572dceddd6e40271b6eda066"


def test_many_parts_have_the_hash_of_their_list():
    for parts in ([], ["a"], ["a", "\u00e9", {"b": 1, "a": None}]):
        assert content_hash_of_many("rows", iter(parts)) == content_hash("rows", parts)


def test_what_json_cannot_say_is_not_hashed():
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash(float("nan"))


@given(st.text(), st.integers())
def test_a_draw_belongs_to_its_key_and_lies_in_the_unit_interval(name: str, number: int):
    assert 0 <= uniform(name, number) < 1
    assert uniform(name, number) == uniform(name, number)


def test_draws_of_many_keys_are_spread_evenly():
    draws = [uniform(17, "action", step) for step in range(4000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02


def test_a_generator_repeats_its_numbers():
    assert (
        generator("bootstrap", 1).integers(1000, size=5).tolist()
        == generator("bootstrap", 1).integers(1000, size=5).tolist()
    )
