"""How likely each allowed reply was."""

from __future__ import annotations

import math

import pytest

from teams_dagster.core.protocol import ReplyToken
from teams_dagster.core.replies import Choice
from teams_dagster.llm.reply_probabilities import reply_probabilities

VERDICTS = Choice("verdict", ("Equal", "Not Equal"))


def token(text: str, **top: float) -> ReplyToken:
    """A token and the probabilities of what could have stood in its place."""
    return ReplyToken(text, {name: math.log(share) for name, share in top.items()})


def test_the_share_of_each_reply_is_read_where_they_part() -> None:
    said = [token("Not", Not=0.6, Equal=0.2, The=0.2), token(" Equal")]
    assert reply_probabilities("Not Equal", said, "Not Equal", VERDICTS) == pytest.approx(
        {"Equal": 0.25, "Not Equal": 0.75}
    )


def test_the_json_around_a_reply_does_not_matter() -> None:
    said = [token('{"'), token("verdict"), token('":'), ReplyToken(' "Equal', {' "Equal': -0.1, ' "Not': -3.0})]
    found = reply_probabilities('{"verdict": "Equal"}', [*said, token('"}')], "Equal", VERDICTS)
    assert found == pytest.approx({"Equal": 1 / (1 + math.exp(-2.9)), "Not Equal": 1 / (1 + math.exp(2.9))})


def test_what_was_thought_before_a_reply_is_no_part_of_it() -> None:
    thought = [token("<think>", Equal=0.9, Not=0.1), token("Not Equal?"), token("</think>")]
    said = [*thought, token("Equal", Equal=0.25, Not=0.75), token("<|im_end|>")]
    assert reply_probabilities("Equal", said, "Equal", VERDICTS) == pytest.approx({"Equal": 0.25, "Not Equal": 0.75})


def test_tokens_of_another_text_than_the_reply_leave_all_unknown() -> None:
    assert reply_probabilities("Equal", [token("Yes", Equal=0.5, Not=0.5)], "Equal", VERDICTS) is None


def test_several_tokens_that_begin_one_reply_count_for_it() -> None:
    said = [token("Equal", Equal=0.3, E=0.1, Not=0.4)]
    found = reply_probabilities("Equal", said, "Equal", VERDICTS)
    assert found == pytest.approx({"Equal": 0.5, "Not Equal": 0.5})


def test_a_reply_that_no_listed_token_begins_leaves_all_unknown() -> None:
    assert reply_probabilities("Equal", [token("Equal", Equal=0.5, The=0.5)], "Equal", VERDICTS) is None


def test_replies_that_the_token_does_not_tell_apart_are_unknown() -> None:
    operations = Choice("operation", ("concretizing", "complicate_input"))
    said = [token("co", co=1.0), token("ncretizing", ncretizing=0.9, mplicate_input=0.1)]
    found = reply_probabilities("concretizing", said, "concretizing", operations)
    assert found == pytest.approx({"concretizing": 0.9, "complicate_input": 0.1})
    assert reply_probabilities("concretizing", [token("concretizing", co=1.0)], "concretizing", operations) is None
