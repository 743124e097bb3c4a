"""What says that a text is not whole counts, wherever a server says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resources.language_models.openai_replies import read_completion
from teams_dagster.core.protocol import CompletionError, ErrorKind, Outcome, Usage

MESSAGE = {"role": "assistant", "content": "Once upon a"}


def outcome_of(choice: dict[str, Any], body: dict[str, Any], *, streamed: bool = False) -> tuple[Outcome, str]:
    if streamed:
        first = {"choices": [{"index": 0, "delta": MESSAGE}]}
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **choice}], **body}
        content = f"data: {json.dumps(first)}\n\ndata: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    else:
        whole = {"index": 0, "message": MESSAGE, "finish_reason": "stop", **choice}
        content = json.dumps({"choices": [whole], **body})
    said = read_completion(content.encode(), 200)
    return said.outcome, said.finish_reason


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("choice", "body", "outcome", "reason"),
    [
        ({"native_finish_reason": "length"}, {}, Outcome.TRUNCATED, "length"),
        ({"native_finish_reason": "MAX_TOKENS"}, {}, Outcome.TRUNCATED, "MAX_TOKENS"),
        ({"native_finish_reason": "SAFETY"}, {}, Outcome.REFUSAL, "SAFETY"),
        ({"stop_reason": "max_tokens"}, {}, Outcome.TRUNCATED, "max_tokens"),
        ({"truncated": True}, {}, Outcome.TRUNCATED, "truncated"),
        ({}, {"truncated": True}, Outcome.TRUNCATED, "truncated"),
        ({}, {"status": "incomplete"}, Outcome.TRUNCATED, "incomplete"),
        ({}, {"status": "completed"}, Outcome.USABLE, "stop"),
        ({"finish_reason": "FinishReason.STOP"}, {}, Outcome.USABLE, "FinishReason.STOP"),
        ({"finish_reason": "done"}, {}, Outcome.USABLE, "done"),
        ({}, {"done_reason": "length"}, Outcome.TRUNCATED, "length"),
        ({}, {"incomplete_details": {"reason": "max_output_tokens"}}, Outcome.TRUNCATED, "max_output_tokens"),
        ({"finish_details": {"type": "max_tokens"}}, {}, Outcome.TRUNCATED, "max_tokens"),
        ({"native_finish_reason": "STOP"}, {}, Outcome.USABLE, "stop"),
        ({"native_finish_reason": "completed"}, {"truncated": False}, Outcome.USABLE, "stop"),
        ({"stop_reason": 128_009}, {"incomplete_details": None}, Outcome.USABLE, "stop"),
        ({"native_finish_reason": "a word of its own"}, {}, Outcome.USABLE, "stop"),
        ({"finish_reason": None, "native_finish_reason": "STOP"}, {}, Outcome.USABLE, "STOP"),
    ],
)
def test_a_cut_text_is_none_that_can_be_used_whichever_field_says_so(
    choice: dict[str, Any], body: dict[str, Any], outcome: Outcome, reason: str, streamed: bool
) -> None:
    assert outcome_of(choice, body, streamed=streamed) == (outcome, reason)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("field", ["finish_reason", "native_finish_reason"])
@pytest.mark.parametrize(
    "reason",
    [
        *("error", "ERROR", "insufficient_system_resource", "network_error", "abort", "cancelled", "failed", "timeout"),
        *("engine_error", "server_error", "upstream_error", "internal_error", "connection_error"),
    ],
)
def test_a_reason_that_tells_of_a_failure_is_an_answer_that_was_broken_off(
    reason: str, field: str, streamed: bool
) -> None:
    with pytest.raises(CompletionError) as raised:
        outcome_of({field: reason}, {}, streamed=streamed)
    assert raised.value.kind is ErrorKind.INCOMPLETE
    assert raised.value.kind.retryable
    assert reason in raised.value.detail


def usage_of(**counts: Any) -> Usage:
    body = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}], "usage": counts}
    return read_completion(json.dumps(body).encode(), 200).usage


def test_a_count_in_a_string_is_one() -> None:
    told = usage_of(
        prompt_tokens="12",
        completion_tokens=" 7 ",
        total_tokens="19.0",
        prompt_tokens_details={"cached_tokens": "3"},
        completion_tokens_details={"reasoning_tokens": "2"},
    )
    assert (told, told.impossible) == (Usage(12, 3, 7, 2), False)


@pytest.mark.parametrize("count", ["9" * 21, "9" * 5_000, "-3", "7.5", "1e30", "Infinity"])
def test_a_count_in_a_string_that_no_call_can_have_is_unknown_and_said_so(count: str) -> None:
    told = usage_of(prompt_tokens="12", completion_tokens=count)
    assert (told, told.impossible) == (Usage(12, None, None), True)


@pytest.mark.parametrize("count", ["", "n/a", "unknown", "12 tokens", None, [], {}, "\u0663", "1_000", "nan"])
def test_what_is_no_number_is_no_count(count: Any) -> None:
    told = usage_of(prompt_tokens=12, completion_tokens=count)
    assert (told, told.impossible) == (Usage(12, None, None), False)


SAFE: dict[str, Any] = {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": {"filtered": False}}
FILTERED: dict[str, Any] = {**SAFE, "violence": {"filtered": True, "severity": "high"}}
BLOCKED = {"custom_blocklists": {"filtered": True, "details": [{"filtered": True, "id": "words"}]}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("choice", "body"),
    [
        ({"content_filter_results": FILTERED}, {}),
        ({"content_filter_results": BLOCKED}, {}),
        ({"content_filter_result": FILTERED}, {}),
        ({}, {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]}),
        ({"content_filter_results": SAFE}, {"prompt_annotations": [{"content_filter_results": FILTERED}]}),
        ({"finish_reason": "sensitive"}, {}),
        ({"finish_reason": "length", "content_filter_results": FILTERED}, {}),
    ],
)
def test_a_text_that_a_filter_withheld_is_none_that_can_be_used(
    choice: dict[str, Any], body: dict[str, Any], streamed: bool
) -> None:
    assert outcome_of(choice, body, streamed=streamed)[0] is Outcome.REFUSAL


def test_a_filter_that_acts_amid_a_stream_is_not_forgotten_at_its_end() -> None:
    parts = [
        {"delta": {"content": "Once"}, "content_filter_results": FILTERED},
        {"delta": {"content": " upon"}, "content_filter_results": SAFE},
        {"delta": {}, "finish_reason": "stop", "content_filter_results": {}},
    ]
    events = "".join(f"data: {json.dumps({'choices': [{'index': 0, **part}]})}\n\n" for part in parts)
    assert read_completion(events.encode(), 200).outcome is Outcome.REFUSAL


@pytest.mark.parametrize(
    ("choice", "body"),
    [
        ({"content_filter_results": SAFE}, {"prompt_filter_results": [{"content_filter_results": SAFE}]}),
        ({"content_filter_results": {}}, {"prompt_filter_results": []}),
        ({"content_filter_results": None}, {"prompt_filter_results": None}),
        ({"content_filter_results": {"error": {"code": "content_filter_error", "message": "timed out"}}}, {}),
        ({"content_filter_results": {"jailbreak": {"filtered": False, "detected": True}}}, {}),
    ],
)
def test_a_filter_that_withheld_nothing_says_nothing(choice: dict[str, Any], body: dict[str, Any]) -> None:
    assert outcome_of(choice, body) == (Outcome.USABLE, "stop")


@pytest.mark.parametrize(
    "error",
    [
        None,
        "",
        {},
        0,
        "null",
        {"code": 0},
        {"code": "0", "message": "OK"},
        {"code": None},
        {"code": 200, "message": ""},
    ],
)
def test_an_error_that_tells_of_success_is_none(error: Any) -> None:
    assert outcome_of({}, {"error": error}) == (Outcome.USABLE, "stop")
    assert outcome_of({}, {"error": error}, streamed=True) == (Outcome.USABLE, "stop")


@pytest.mark.parametrize("error", [{"code": 0, "message": "the model crashed"}, {"code": 500}, "boom", True])
def test_an_error_beside_a_text_is_an_answer_that_was_broken_off(error: Any) -> None:
    with pytest.raises(CompletionError) as raised:
        outcome_of({}, {"error": error})
    assert raised.value.kind is ErrorKind.INCOMPLETE


def streamed_text(*parts: dict[str, Any]) -> str | None:
    events = [{"choices": [{"index": 0, **part}]} for part in (*parts, {"finish_reason": "stop"})]
    return read_completion("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), 200).text


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ("one whole message", [{"message": {"content": "Green."}}]),
        ("messages that are pieces", [{"message": {"content": "Gre"}}, {"message": {"content": "en."}}]),
        ("messages that grow", [{"message": {"content": "Gre"}}, {"message": {"content": "Green."}}]),
        ("the whole message after its pieces", [{"delta": {"content": "Green."}}, {"message": {"content": "Green."}}]),
        ("texts in place of deltas", [{"text": "Gre"}, {"text": "en."}]),
    ],
)
def test_a_stream_is_read_whatever_its_events_call_the_text(form: str, parts: list[dict[str, Any]]) -> None:
    assert streamed_text(*parts) == "Green.", form
