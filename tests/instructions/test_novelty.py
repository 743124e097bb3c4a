from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.novelty import Pool, similarity

instructions = st.builds(
    Instruction, st.text(alphabet="abc xyz\n", max_size=40), st.text(alphabet="ab ,1\n", max_size=20)
)


@given(instructions, instructions)
def test_similarity_is_symmetric_and_lies_in_the_unit_interval(a: Instruction, b: Instruction):
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, b) == similarity(b, a)


@given(instructions)
def test_an_instruction_is_wholly_similar_to_itself(a: Instruction):
    assert similarity(a, a) == 1


@given(st.lists(instructions, min_size=1, max_size=8), instructions)
def test_the_pool_finds_the_same_largest_similarity_as_one_by_one(members: list[Instruction], new: Instruction):
    one_by_one = max(similarity(new, member) for member in members)
    assert abs(Pool(members).largest_similarity(new) - one_by_one) < 1e-12


def test_a_long_unchanged_input_does_not_hide_a_changed_text():
    material = "word " * 300
    assert similarity(Instruction("Name the rivers.", material), Instruction("Sort all cities.", material)) == 0


def test_nothing_is_similar_to_an_empty_pool():
    assert Pool([]).largest_similarity(Instruction("Anything")) == 0


def test_the_version_of_a_pool_is_its_content_not_its_order():
    a, b = Instruction("One"), Instruction("Two")
    assert Pool([a, b]).version == Pool([b, a, a]).version != Pool([a]).version
