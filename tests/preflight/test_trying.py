"""Roles behind a real server, by script: what a preflight says of each."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pytest

from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.dataset.quality.rating import rate_query
from teams_dagster.instructions.requests import respond_query
from teams_dagster.instructions.seeds import load_seeds
from teams_dagster.instructions.stored_seeds import seed_sources
from teams_dagster.preflight.labelled_pairs import RatingPair, rating_pairs
from teams_dagster.preflight.plan import FULL, QUICK, planned, ratings_key
from teams_dagster.preflight.record import SeedUse, Status, gate_failures, usable_record, write_record
from tests.preflight.conftest import Try
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply
from tests.support.scripted_roles import (
    Script,
    answering,
    by_position,
    coin,
    perfect_judge,
    perfect_rater,
    perfect_reviewer,
)


def test_a_reviewer_that_is_right_passes(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=perfect_reviewer())
    record = tried(Role.REVIEWER)
    assert record.accuracy is not None
    assert (record.accuracy.balanced, record.accuracy.position.changed.count) == (1.0, 0)
    assert record.failures == ()
    assert record.queries == openai_server.count == 184


@pytest.mark.slow
@pytest.mark.parametrize("script", [coin, lambda _: "Not Equal", by_position, lambda _: "The two equal are indeed."])
def test_a_reviewer_that_is_no_better_than_chance_fails_with_its_lower_bound(
    openai_server: OpenAIServer, tried: Try, script: Script
):
    openai_server.respond = answering(review=script)
    record = tried(Role.REVIEWER)
    assert record.status is Status.FAILED
    (sentence,) = record.failures
    assert "the reviewer openai/m has a balanced accuracy of" in sentence
    assert "lower bound is below 0.700: nothing is trained on its verdicts" in sentence
    assert "TEAMS_REVIEWER_MODEL" in sentence


def test_a_reviewer_that_goes_by_the_order_is_shown_to(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=by_position)
    accuracy = tried(Role.REVIEWER, QUICK).accuracy
    assert accuracy is not None
    assert accuracy.position.changed.value == 1.0


def test_replies_that_cannot_be_read_are_counted_by_kind(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=lambda _: "Well.")
    accuracy = tried(Role.REVIEWER, QUICK).accuracy
    assert accuracy is not None
    assert accuracy.unclear == accuracy.pairs == sum(kind.unclear for kind in accuracy.kinds)


def test_a_quick_preflight_says_that_its_interval_is_wide(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=coin)
    (sentence,) = tried(Role.REVIEWER, QUICK).failures
    assert "whose interval is wide: run teams preflight without --quick" in sentence


def test_a_judge_that_takes_the_first_answer_fails_and_is_shown_to(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(judge=lambda _: "A")
    record = tried(Role.JUDGE, QUICK)
    assert record.failures
    assert record.accuracy is not None
    assert record.accuracy.position.first_preferred == record.accuracy.position.changed.of


def test_a_right_judge_passes(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(judge=perfect_judge())
    assert tried(Role.JUDGE).failures == ()


def test_a_judge_that_tells_good_pairs_from_bad_ones_may_drop_them(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(judge=perfect_judge(), rate=perfect_rater())
    record = tried(Role.JUDGE, ratings=True)
    assert record.ratings is not None
    assert record.ratings.accuracy is not None
    assert (record.ratings.accuracy.balanced, record.ratings.failures) == (1.0, ())
    assert record.queries == openai_server.count == 164 + 120


def test_a_judge_that_finds_every_pair_good_may_not_drop_any_though_it_compares_well(
    openai_server: OpenAIServer, tried: Try
):
    openai_server.respond = answering(judge=perfect_judge(), rate=lambda _: "good")
    record = tried(Role.JUDGE, ratings=True)
    assert record.failures == ()
    (sentence,) = record.with_ratings().failures
    assert "a balanced accuracy of 0.500 on 120 labelled pairs" in sentence
    assert "lower bound is below 0.700: it may not drop a pair" in sentence


def test_a_judge_that_cannot_tell_is_never_right(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(judge=perfect_judge(), rate=lambda _: "cannot tell")
    ratings = tried(Role.JUDGE, QUICK, ratings=True).ratings
    assert ratings is not None
    assert ratings.accuracy is not None
    assert (ratings.accuracy.unclear, ratings.accuracy.balanced) == (32, 0.0)


def refusing(answer: Callable[[Body], str], refused: Collection[str]) -> Callable[[Body], str | Fault]:
    """The same answers, but to those user messages that are refused for good."""
    return lambda body: Fault(status=400) if body["messages"][-1]["content"] in refused else answer(body)


def rated(pairs: Iterable[RatingPair]) -> list[str]:
    """The user messages that have the judge rate them."""
    return [rate_query(pair.asked, pair.answer).messages[-1].content for pair in pairs]


def test_the_first_rating_without_an_answer_is_one_that_is_missing(openai_server: OpenAIServer, tried: Try):
    first = planned(Role.JUDGE, ModelIdentity("openai", "m", ""), [], FULL, ratings=True).rating_pairs[:1]
    openai_server.respond = refusing(answering(judge=perfect_judge(), rate=lambda _: "good"), rated(first))
    record = tried(Role.JUDGE, ratings=True)
    assert record.ratings is not None
    assert record.ratings.accuracy is not None
    assert (record.ratings.accuracy.pairs, record.unanswered) == (119, 1)
    assert "it may not drop a pair" in record.ratings.failures[0]


def test_ratings_that_were_never_measured_fail(openai_server: OpenAIServer, tried: Try):
    bad = [pair for pair in rating_pairs() if not pair.good]
    openai_server.respond = refusing(answering(judge=perfect_judge(), rate=perfect_rater()), rated(bad))
    ratings = tried(Role.JUDGE, QUICK, ratings=True).ratings
    assert ratings is not None
    assert ratings.accuracy is None
    assert "the ratings of the judge openai/m were not measured: 16 of 32 queries got no answer" in ratings.failures[0]


def test_a_judge_of_which_no_comparison_was_answered_fails_though_its_ratings_were(
    openai_server: OpenAIServer, tried: Try
):
    asked = planned(Role.JUDGE, ModelIdentity("openai", "m", ""), [], QUICK).judgements()
    answer = answering(judge=perfect_judge(), rate=perfect_rater())
    openai_server.respond = refusing(answer, [asked[0].messages[-1].content])
    record = tried(Role.JUDGE, QUICK, ratings=True)
    assert record.accuracy is None
    assert "1 of 33 queries to the judge openai/m got no answer" in " ".join(record.failures)


def test_a_query_without_an_answer_does_not_let_a_bad_judge_drop_pairs(
    openai_server: OpenAIServer, tried: Try, tmp_path: Path
):
    answer = answering(judge=perfect_judge(), rate=lambda _: "good")
    openai_server.respond = refusing(answer, rated(rating_pairs()[:1]))
    record = tried(Role.JUDGE, ratings=True)
    assert not record.settled
    write_record(tmp_path, record)
    assert usable_record(tmp_path, Role.JUDGE, record.key, ratings_key()) is None
    (fault,) = gate_failures(tmp_path, record.key, ratings_key())
    assert "it may not drop a pair" in fault


def test_an_instructors_rewrites_are_counted_by_operation(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=perfect_reviewer())
    record = tried(Role.INSTRUCTOR)
    assert [one.asked for one in record.operations] == [4] * 6
    assert sum(one.malformed for one in record.operations) == 0
    assert sum(one.accepted for one in record.operations) == sum(one.reviewed for one in record.operations) > 12
    assert record.failures == ()


def test_rewrites_that_break_the_format_fail_an_instructor(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = lambda body: Reply("", finish_reason="length")
    record = tried(Role.INSTRUCTOR, QUICK)
    assert record.failures == (
        "0 of 6 replies of the instructor openai/m could be read. Set TEAMS_INSTRUCTOR_MODEL to another model, or give"
        " it examples (TEAMS_PROMPTS)",
    )


def test_a_rewrite_that_holds_no_text_that_can_be_kept_breaks_the_format(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = lambda body: "Name\x00 three rivers."
    assert [one.malformed for one in tried(Role.INSTRUCTOR, QUICK).operations] == [1] * 6


def test_an_expert_answers_too_so_that_an_estimate_can_learn_from_it(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=perfect_reviewer())
    assert tried(Role.EXPERT).queries == 24 + 20 + 2


def test_a_guide_is_read(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering()
    readable = tried(Role.GUIDE).readable
    assert readable is not None
    assert (readable.count, readable.of) == (20, 20)


@pytest.mark.parametrize(
    ("part", "use"),
    [("seed", SeedUse.HONOURED), ("max_tokens", SeedUse.NOT_HONOURED), ("model", SeedUse.WITHOUT_EFFECT)],
)
def test_what_a_model_does_with_the_seed_is_found_out(openai_server: OpenAIServer, tried: Try, part: str, use: SeedUse):
    names = {"max_tokens": ("max_tokens", "max_completion_tokens")}.get(part, (part,))
    openai_server.respond = lambda body: (
        "breadth " + hashlib.sha256(json.dumps([body.get(name) for name in names]).encode()).hexdigest()
    )
    assert tried(Role.GUIDE, QUICK).seed is use


def test_the_second_time_nothing_is_sent(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=coin)
    first = tried(Role.REVIEWER, QUICK)
    sent = openai_server.count
    second = tried(Role.REVIEWER, QUICK)
    assert openai_server.count == sent
    assert second.accuracy == first.accuracy
    assert second.widths == ()


def test_more_and_more_are_under_way_at_once(openai_server: OpenAIServer, tried: Try):
    openai_server.respond = answering(review=perfect_reviewer())
    openai_server.latency_s = 0.005
    record = tried(Role.REVIEWER)
    assert [rate.width for rate in record.widths] == [1, 2, 4, 8]
    assert record.width in (1, 2, 4, 8)
    assert openai_server.most_in_flight <= 8


def test_long_answers_are_asked_for_no_more_at_once_than_a_machine_serves_best(openai_server: OpenAIServer, tried: Try):
    answer, at_once = answering(review=perfect_reviewer()), list[int]()

    def crowded(body: Body) -> str:
        time.sleep(0.1 * (openai_server.in_flight - 1))
        if body["messages"][-1]["content"] in asked:
            at_once.append(openai_server.in_flight)
        return answer(body)

    openai_server.respond, openai_server.latency_s = crowded, 0.02
    texts = [seed.instruction for seed in load_seeds(seed_sources(None, ())[0]).seeds]
    asked = {respond_query(text).messages[-1].content for text in texts}
    record = tried(Role.EXPERT)
    assert record.width is not None
    assert len(at_once) == 20
    assert max(at_once) <= record.width < 4


def test_an_endpoint_that_refuses_the_key_fails_with_its_words_after_a_few_queries(
    openai_server: OpenAIServer, tried: Try
):
    openai_server.faults.extend([Fault(status=401, body='{"error": {"message": "no such key"}}')] * 300)
    record = tried(Role.REVIEWER)
    assert (record.status, record.reached) == (Status.FAILED, False)
    assert "no such key" in record.failures[0]
    assert openai_server.count <= 10
