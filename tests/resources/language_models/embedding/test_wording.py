"""What the wording of an edit tells that its embedding does not."""

import pytest

from resources.language_models.embedding.wording import Fact, changed_facts, reads_like_an_answer, spelt_like
from teams_dagster.core.instruction import Instruction


def changed(before: str, after: str) -> tuple[Fact, ...]:
    return changed_facts(Instruction(before), Instruction(after))


@pytest.mark.parametrize(
    ("before", "after", "fact"),
    [
        ("Name 3 rivers.", "Name 4 rivers.", Fact.NUMBERS),
        ("Name three rivers.", "Name four rivers.", Fact.NUMBERS),
        ("Which files does -mtime +7 find?", "Which files does -mtime -7 find?", Fact.NUMBERS),
        ("Is a<b?", "Is a>b?", Fact.OPERATORS),
        ("Derive x**2 + y.", "Derive x**2 * y.", Fact.OPERATORS),
        ("Use adverbs.", "Do not use adverbs.", Fact.NEGATION),
        ("Say why it does work.", "Say why it doesn't work.", Fact.NEGATION),
    ],
)
def test_a_single_changed_token_is_a_changed_fact(before: str, after: str, fact: Fact):
    assert changed(before, after) == (fact,)


def test_a_changed_line_of_the_input_is_changed_material():
    before, after = (Instruction("Find the bug.", f"x = 1\n{line}") for line in ("y = x", "y = -x"))

    assert changed_facts(before, after) == (Fact.MATERIAL,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Name three rivers and four lakes.", "Name four lakes and 3 rivers."),
        ("Earn 1,800 euros.", "Earn 1800 euros."),
        ("Write **two** lines.", "Write *two* lines."),
        ("Name three rivers.", "Name three rivers; three of them."),
        ("Write it without verbs.", "Never use verbs when you write it."),
        ("Explain the e-mail.", "Explain the email."),
    ],
)
def test_other_words_for_the_same_are_no_changed_fact(before: str, after: str):
    assert changed(before, after) == ()


def test_white_space_in_the_input_is_no_changed_material():
    assert changed_facts(Instruction("Sort.", "b a"), Instruction("Sort.", " b\n a")) == ()


def test_a_misspelt_word_is_read_as_the_other_text_spells_it():
    known = {"describe", "advantages"}.__contains__

    assert spelt_like("Describe the advantges.", "Describe the advantages.", known) == "Describe the advantages."


def test_a_word_that_the_model_knows_is_no_misspelling_of_another():
    known = {"austria", "australia"}.__contains__

    assert spelt_like("The capital of Australia", "The capital of Austria", known) == "The capital of Australia"


@pytest.mark.parametrize(
    "after",
    ["Dough rises because yeast makes gas.", "def rise(dough):\n    return 2 * dough", "1. Yeast\n2. Warmth"],
)
def test_a_text_that_asks_for_nothing_any_more_reads_like_an_answer(after: str):
    assert reads_like_an_answer(Instruction("Explain why dough rises."), Instruction(after))


@pytest.mark.parametrize(
    "after",
    [
        "Explian why dough rises.",
        "For a child, explain why dough rises.",
        "Why does dough rise?",
        "I would be grateful to learn why dough rises.",
        "Here is a recipe. List what makes the dough rise.",
    ],
)
def test_an_edit_does_not_read_like_an_answer(after: str):
    assert not reads_like_an_answer(Instruction("Explain why dough rises."), Instruction(after))


def test_nothing_is_said_of_a_language_whose_requests_are_not_known():
    assert not reads_like_an_answer(Instruction("Erkläre, warum Teig aufgeht."), Instruction("Hefe bildet Gas."))
