"""Expert answers per accepted pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.dataset.yields import Yield


def test_two_when_nothing_is_refused():
    assert Yield(50, 50, 50, 50).answers_per_pair == 2


def test_refused_rewrites_and_responses_count():
    assert Yield(100, 80, 80, 40).answers_per_pair == 180 / 40


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_it_is_one_over_a_plus_one_over_b(kept, refused_responses, refused_rewrites):
    responses = kept + refused_responses
    found = Yield(responses + refused_rewrites, responses, responses, kept)
    a, b = responses / found.rewrites, kept / responses
    assert found.answers_per_pair == pytest.approx((1 / a + 1) / b)
    assert found.with_rewrites_accepted_at(a) == pytest.approx(found.answers_per_pair)


def test_of_several_answers_each_was_asked_for_whatever_share_of_the_rewrites_is_accepted():
    two_answers_each = Yield(100, 50, 100, 40)
    assert two_answers_each.answers_per_pair == 200 / 40
    assert two_answers_each.with_rewrites_accepted_at(0.5) == 200 / 40
    assert two_answers_each.with_rewrites_accepted_at(1.0) == 150 / 40


def test_without_a_pair_there_is_no_such_figure():
    assert Yield(10, 5, 5, 0).answers_per_pair is None
    assert Yield(10, 5, 5, 5).with_rewrites_accepted_at(0.0) is None
