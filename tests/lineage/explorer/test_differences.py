"""The word-level differences that the page shows, as its own script finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from tests.support.properties import example_count

Runs = list[list[str]]
Differences = Callable[[str, str], Runs]

pytestmark = pytest.mark.browser

TEXTS = st.lists(
    st.sampled_from(["a", "b", "word", "Wort", " ", "  ", "\n", ".", "é", "語", "👩‍🔬", "12"]), max_size=30
).map("".join)


@pytest.fixture(scope="module")
def differences(browser: Browser) -> Iterator[Differences]:
    """The function of the page, in a browser."""
    page = browser.new_page()
    script = resources.files("teams_dagster.lineage.explorer").joinpath("web", "differences.js").read_text("utf-8")
    page.add_script_tag(content=script)
    yield lambda before, after: page.evaluate("([before, after]) => differences(before, after)", [before, after])
    page.close()


def side(runs: Runs, *kinds: str) -> str:
    return "".join(text for kind, text in runs if kind in kinds)


@given(before=TEXTS, after=TEXTS)
@settings(max_examples=example_count(60))
def test_what_was_kept_and_removed_is_the_old_text_and_what_was_kept_and_added_the_new(
    differences: Differences, before: str, after: str
) -> None:
    runs = differences(before, after)
    assert side(runs, "same", "removed") == before
    assert side(runs, "same", "added") == after


@given(before=TEXTS, after=TEXTS)
def test_runs_are_not_empty_and_each_has_another_kind_than_its_neighbour(
    differences: Differences, before: str, after: str
) -> None:
    runs = differences(before, after)
    assert all(text for _, text in runs)
    assert all(one[0] != other[0] for one, other in pairwise(runs))


def test_equal_texts_have_no_differences(differences: Differences) -> None:
    assert differences("the same text", "the same text") == [["same", "the same text"]]


def test_words_are_compared_whole(differences: Differences) -> None:
    assert differences("three rivers", "threefold rivers") == [
        ["removed", "three"],
        ["added", "threefold"],
        ["same", " rivers"],
    ]


def test_an_addition_in_the_middle_leaves_the_rest_as_it_is(differences: Differences) -> None:
    assert differences("Name three rivers.", "Name three long rivers.") == [
        ["same", "Name three "],
        ["added", "long "],
        ["same", "rivers."],
    ]


def test_two_changes_in_a_long_text_stay_two(differences: Differences) -> None:
    before = "Explain how tides work and list three of the places where they are highest in the world."
    after = "Describe how tides work and list three of the places where they are lowest in the world."
    assert [kind for kind, _ in differences(before, after)] == ["removed", "added", "same", "removed", "added", "same"]


def test_words_that_happen_to_stand_in_both_texts_are_no_agreement(differences: Differences) -> None:
    runs = differences("What is the capital of France?", "Compose the longest ode of remarkable rivers.")
    assert runs == [
        ["removed", "What is the capital of France?"],
        ["added", "Compose the longest ode of remarkable rivers."],
    ]


def test_long_texts_without_a_common_word_are_one_replaced_by_the_other(differences: Differences) -> None:
    before, after = (" ".join(f"{letter}{number}" for number in range(3_000)) for letter in "ab")
    assert differences(before, after) == [["removed", before], ["added", after]]
