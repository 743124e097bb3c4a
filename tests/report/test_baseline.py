from __future__ import annotations

import pytest

from teams_dagster.report.content import QuestionCounts
from teams_dagster.report.paper import compare_queries


def test_the_papers_claim_is_two_queries_a_pair() -> None:
    paper = compare_queries(0, QuestionCounts())[1]
    assert paper.per_pair == 2
    assert paper.share == pytest.approx(0.0573, abs=5e-6)


def test_a_pair_costs_what_was_asked_for_the_refused_ones_too() -> None:
    counts = QuestionCounts(rewrites=200, answers=100, reviews=150, policy=5_000)
    expert, reviewed, everything = compare_queries(100, counts)[2:]
    assert (expert.per_pair, reviewed.per_pair, everything.per_pair) == (3, 4.5, 54.5)


def test_ratings_are_among_the_queries_of_a_pair_and_named_where_there_are_any() -> None:
    counts = QuestionCounts(rewrites=200, answers=100, reviews=150, ratings=50)
    _, reviewed, _ = compare_queries(100, counts)[2:]
    assert (reviewed.name, reviewed.per_pair) == ("here, with reviews and ratings", 5)


def test_the_policys_queries_do_not_grow_with_the_pairs() -> None:
    counts = QuestionCounts(rewrites=200, answers=100, reviews=150, policy=5_000)
    reviewed, everything = compare_queries(100, counts)[3:]
    assert reviewed.at_paper_size == pytest.approx(4.5 * 17_878)
    assert everything.at_paper_size == pytest.approx(4.5 * 17_878 + 5_000)


def test_without_a_pair_nothing_is_extrapolated() -> None:
    assert all(
        row.at_paper_size is row.share is row.per_pair is None for row in compare_queries(0, QuestionCounts())[2:]
    )
