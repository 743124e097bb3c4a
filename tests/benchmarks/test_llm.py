"""The benchmark's arithmetic, and the faults that it deals out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.llm.figures import Row, Spread, advantage, best_rival, losses, per_call, spread
from benchmarks.llm.server import WORDS_IN_ANSWER, answer_text, fault_status


def one(value: float) -> Spread:
    return spread([value])


def test_a_figure_is_its_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=3.0, repeats=3)


def test_the_cost_of_a_call_is_free_of_the_fixed_part() -> None:
    fixed, each = 2.5, 0.01
    assert per_call(fixed + 1_000 * each, fixed + 50 * each, 1_000, 50) == pytest.approx(each)


def test_an_advantage_above_one_is_ours_whatever_is_better() -> None:
    assert advantage(300, 200, "higher") == 1.5
    assert advantage(2, 4, "lower") == 2.0
    assert advantage(-1, 50, "nearer zero") == 50.0
    assert advantage(0, 0, "lower") == 1.0
    assert advantage(0, 10, "lower") is None


def test_whoever_beats_us_is_named_and_an_equal_is_not() -> None:
    fast = Row("calls", "higher", {"us": one(100), "a": one(120), "b": one(90), "c": "hung"})
    error = Row("error", "nearer zero", {"us": one(-2.0), "a": one(1.0), "b": one(2.0)})
    found = losses([fast, error], "us", ["a", "b", "c"])
    assert [(row.name, rival) for row, rival, _, _ in found] == [("calls", "a"), ("error", "a")]


def test_the_best_rival_is_found_among_those_with_a_figure() -> None:
    row = Row("seconds", "lower", {"us": one(1), "a": one(3), "b": one(2), "c": "hung"})
    assert best_rival(row, ["a", "b", "c"]) == ("b", one(2))
    assert best_rival(row, ["c"]) is None


@given(content=st.text(), share=st.floats(0, 0.5))
def test_faults_are_the_same_for_every_client_and_end(content: str, share: float) -> None:
    dealt = [fault_status(content, times_seen, share) for times_seen in range(1, 60)]
    assert dealt == [fault_status(content, times_seen, share) for times_seen in range(1, 60)]
    assert None in dealt
    assert set(dealt) <= {None, 429, 500}


def test_faults_have_the_share_asked_for() -> None:
    dealt = [fault_status(f"question {number}", 1, 0.1) for number in range(10_000)]
    assert sum(status is not None for status in dealt) == pytest.approx(1_000, abs=120)
    assert dealt.count(429) == pytest.approx(500, abs=90)


def test_an_answer_belongs_to_its_question() -> None:
    assert answer_text("a") == answer_text("a") != answer_text("b")
    assert len(answer_text("a").split()) == WORDS_IN_ANSWER
