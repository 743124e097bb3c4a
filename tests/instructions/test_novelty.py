import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.words import words
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


SEED = Instruction("Name three rivers that cross a border, and say where each of them begins and ends.")


@pytest.mark.parametrize("letters", ["aeio äëïö", "aeio áéíó", "oldht øłđħŧ", "aeopc аеорс"])
def test_accents_strokes_and_look_alike_letters_on_every_word_earn_nothing(letters: str):
    plain, changed = letters.split()
    alike = Instruction(SEED.text.translate(str.maketrans(plain, changed)))
    one_word = Instruction(f"{SEED.text} Today.")
    both = Instruction(one_word.text.translate(str.maketrans(plain, changed)))
    assert similarity(SEED, alike) >= 0.97
    assert similarity(SEED, both) == pytest.approx(similarity(SEED, one_word), abs=0.03)
    assert similarity(both, SEED) == similarity(SEED, both)


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("Traduis : soupe à l'oignon.", "Traduis : soupe à l'oignon, a la carte."),
        ("Переведи слово «сор».", "Переведи слово «сор» и «cop»."),
        ("Say año.", "Say año and ano."),
    ],
)
def test_a_word_beside_one_that_differs_in_an_accent_is_another(text: str, edit: str):
    added = len(set(words(edit)) - set(words(text)))
    assert added >= 1
    assert similarity(Instruction(text), Instruction(edit)) == similarity(Instruction(text), Instruction(edit + " "))
    assert similarity(Instruction(text), Instruction(edit)) < 1 - added / (3 * len(words(edit)))
