"""What a task can reward: words that are asked for in a text that reads well, and what a summary says in few words."""

import math

import pytest

from teams_dagster.rlgf.measures import MEASURES, Judged, brevity, coverage, fluency

REFERENCE = "the dog ran home"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("A dog runs.", 1.0),
        ("The dogs were running", 1.0),
        ("Run!", 0.5),
        ("A doghouse in a ruin of runaways", 0.0),
        ("", 0.0),
        ("dog dog dog", 0.5),
    ],
)
def test_coverage_is_the_share_of_concepts_in_any_form(text, share):
    assert coverage(text, ["dog", "run"]) == share


@pytest.mark.parametrize(
    ("concept", "form"), [("dance", "dancing"), ("carry", "carries"), ("fly", "flies"), ("write", "writes")]
)
def test_a_final_e_or_y_may_change(concept, form):
    assert coverage(form, [concept]) == 1.0


def test_fluency_falls_with_perplexity_between_one_and_nothing():
    known = [fluency(perplexity) for perplexity in (1, 8, 32, 500)]
    assert known == sorted(known, reverse=True)
    assert known[2] == 0.5
    assert 0 < known[-1] < known[0] < 1


def test_a_text_as_short_as_its_reference_pays_nothing_for_its_length():
    assert brevity("a dog", REFERENCE) == brevity("a b c d", REFERENCE) == 1.0


def test_a_text_twice_as_long_pays():
    assert brevity("a b c d e f g h", REFERENCE) == pytest.approx(math.exp(-1))


def test_concepts_are_worth_coverage_times_fluency():
    judged = Judged("A dog.", concepts=("dog", "run"), perplexity=32.0)
    assert MEASURES["concepts"].of(judged) == 0.5 * 0.5


def test_the_reference_itself_is_the_best_summary():
    assert MEASURES["summary"].of(Judged(REFERENCE, reference=REFERENCE)) == 1.0


def test_a_summary_that_says_everything_at_length_earns_little():
    long = Judged(f"{REFERENCE} and then it ate and slept until the morning came", reference=REFERENCE)
    assert MEASURES["summary"].of(long) < 0.1 < MEASURES["rouge_1"].of(long)
