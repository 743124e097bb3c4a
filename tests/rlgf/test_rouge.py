"""ROUGE is that of the package which others report with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from teams_dagster.rlgf.rouge import rouge_l, rouge_n

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
