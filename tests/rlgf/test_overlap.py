"""CIDEr-D against values computed by hand: two references, so that what both have weighs nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from teams_dagster.rlgf.overlap import Cider, rouge_l, rouge_n

DOG, CAT = "A dog runs.", "A cat runs."
KNOWN = Cider((DOG, CAT))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (DOG, 10 * 3 / 4),  # no run of four words is there to agree on
        ("a dog sleeps", 10 * (1 / math.sqrt(2) + 1 / 2) / 4),
        ("dog dog dog", 10 * (1 / 3) / 4),  # the reference has it once
        ("dog", 10 * math.exp(-(2**2) / (2 * 6**2)) / 4),  # two words short
        ("a cow runs", 0.0),
        ("", 0.0),
    ],
)
def test_a_text_scores_what_was_computed_by_hand(text, score):
    assert KNOWN.score(text, DOG) == pytest.approx(score)


def test_where_one_reference_alone_is_known_nothing_is_rare():
    assert Cider((DOG,)).score(DOG, DOG) == 0


WORDS = st.lists(st.sampled_from(["the", "dog", "Ran", "2", "far", "dog-like,"]), max_size=9).map(" ".join)
THEIRS = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)


@given(WORDS, WORDS)
def test_scores_are_those_of_the_rouge_package(text, reference):
    theirs = THEIRS.score(reference, text)
    assert rouge_n(text, reference, 1) == pytest.approx(theirs["rouge1"].fmeasure)
    assert rouge_n(text, reference, 2) == pytest.approx(theirs["rouge2"].fmeasure)
    assert rouge_l(text, reference) == pytest.approx(theirs["rougeL"].fmeasure)


def test_a_word_counts_as_often_as_both_have_it():
    assert rouge_n("the the the dog", "the dog", 1) == pytest.approx(2 * 2 / 6)


def test_a_subsequence_may_have_gaps():
    assert rouge_l("the dog ran home", "the big dog went home") == pytest.approx(2 * 3 / 9)
