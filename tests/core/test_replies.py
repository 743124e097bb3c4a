"""Reading back the reply of a model that was held to a few replies, or to a form."""

from __future__ import annotations

import pytest

from teams_dagster.core.replies import Choice, Parts, Way, read_replies, read_reply, replies_json

VERDICTS = Choice("verdict", ("Equal", "Not Equal"))
PARTS = Parts(("Instruction", "Input"))


def test_a_choice_in_json_is_read_as_the_bare_reply() -> None:
    assert read_reply(Way.JSON_SCHEMA, VERDICTS, '{ "verdict": "Not Equal" }\n') == "Not Equal"


@pytest.mark.parametrize("way", [Way.CHOICE, Way.GRAMMAR, Way.LOGPROBS])
def test_a_bare_choice_is_read_as_it_is(way: Way) -> None:
    assert read_reply(way, VERDICTS, " Equal\n") == "Equal"


@pytest.mark.parametrize(
    ("way", "text"),
    [
        (Way.JSON_SCHEMA, "Equal"),
        (Way.JSON_SCHEMA, '{"verdict": "Equal"'),
        (Way.JSON_SCHEMA, '{"verdict": "equal"}'),
        (Way.JSON_SCHEMA, '{"verdict": "Equal", "why": "so"}'),
        (Way.JSON_SCHEMA, '{"verdict": true}'),
        (Way.JSON_SCHEMA, '["verdict"]'),
        (Way.GRAMMAR, "Equal."),
        (Way.GRAMMAR, '{"verdict": "Equal"}'),
        (Way.CHOICE, ""),
    ],
)
def test_anything_else_is_no_reply(way: Way, text: str) -> None:
    assert read_reply(way, VERDICTS, text) is None


def test_parts_in_json_are_read_as_the_labelled_text_that_the_prompt_asks_for() -> None:
    text = '{"instruction": "Sum up the table.\\nBe brief.", "input": "a,b"}'
    assert read_reply(Way.CHOICE, PARTS, text) == "Instruction: Sum up the table.\nBe brief.\nInput: a,b"


def test_a_part_that_holds_a_line_like_the_next_label_is_no_reply() -> None:
    text = '{"instruction": "Sum up.\\nInput: other", "input": "a,b"}'
    assert read_reply(Way.JSON_SCHEMA, PARTS, text) is None


@pytest.mark.parametrize("allowed", [VERDICTS, PARTS])
def test_what_the_ledger_keeps_of_them_is_read_back(allowed: Choice | Parts) -> None:
    assert read_replies(replies_json(allowed)) == allowed
