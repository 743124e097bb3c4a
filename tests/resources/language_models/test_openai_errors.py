"""An error is what its code says, whatever form a server gives it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resources.language_models.openai_failures import read_failure
from resources.language_models.openai_replies import read_completion
from teams_dagster.core.protocol import CompletionError, ErrorKind

HALF = {"index": 0, "message": {"role": "assistant", "content": "Half of"}, "finish_reason": "stop"}


def failure_in(body: Any) -> CompletionError:
    """What a response of status 200 with this body is."""
    with pytest.raises(CompletionError) as raised:
        read_completion(json.dumps(body).encode(), 200)
    return raised.value


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"type": "authentication_error", "message": "no"}}, ErrorKind.DENIED, 401),
        ({"type": "error", "error": {"type": "permission_error", "message": "no"}}, ErrorKind.DENIED, 403),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, ErrorKind.SERVER, 503),
        ({"error": {"type": "invalid_request_error", "message": "no"}}, ErrorKind.REJECTED, 400),
        ({"error": {"type": "AuthenticationError", "message": "no"}}, ErrorKind.DENIED, 401),
        ({"error": {"status": "UNAUTHENTICATED", "message": "no"}}, ErrorKind.DENIED, 401),
        ({"error": {"status": "UNAVAILABLE", "message": "no"}}, ErrorKind.SERVER, 503),
        ({"error": {"error": {"type": "rate_limit_error"}}}, ErrorKind.RATE_LIMITED, 429),
        ([{"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}], ErrorKind.DENIED, 401),
        ([{"error": {"code": 429, "message": "no"}}], ErrorKind.RATE_LIMITED, 429),
        ({"code": 401, "message": "no"}, ErrorKind.DENIED, 401),
        ({"object": "error", "message": "no", "type": "NotFoundError", "code": None}, ErrorKind.DENIED, 404),
        ({"status_code": 429}, ErrorKind.RATE_LIMITED, 429),
        ({"statusCode": 403, "message": "no"}, ErrorKind.DENIED, 403),
        ({"status": 503, "title": "Service Unavailable"}, ErrorKind.SERVER, 503),
        ({"success": False, "errorCode": "401", "errorMessage": "no"}, ErrorKind.DENIED, 401),
        ({"error": "no", "status_code": 401}, ErrorKind.DENIED, 401),
        ({"error": "invalid_api_key"}, ErrorKind.DENIED, 401),
        ({"error": "Too Many Requests"}, ErrorKind.RATE_LIMITED, 429),
        ({"errors": [{"status": "401", "title": "Unauthorized"}]}, ErrorKind.DENIED, 401),
        ({"detail": "Unauthorized"}, ErrorKind.DENIED, 401),
        ({"detail": {"code": 429, "message": "no"}}, ErrorKind.RATE_LIMITED, 429),
        ({"message": "Forbidden"}, ErrorKind.DENIED, 403),
        ({"error": {"message": "Incorrect API key provided: sk-1"}}, ErrorKind.DENIED, 401),
        ({"error": {"message": "no", "code": 401}, "choices": [HALF]}, ErrorKind.DENIED, 401),
        ({"choices": None, "code": 401, "msg": "no"}, ErrorKind.DENIED, 401),
    ],
)
def test_a_body_of_status_200_that_is_an_error_is_what_its_code_says(body: Any, kind: ErrorKind, status: int) -> None:
    failure = failure_in(body)
    assert (failure.kind, failure.http_status) == (kind, status)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "the tide is out"},
        [{"error": {"message": "the tide is out"}}],
        {"message": "the tide is out", "code": "tide_17"},
        {"errors": ["the tide is out"]},
        {"base_resp": {"status_code": 1004, "status_msg": "the tide is out"}, "choices": None},
    ],
)
def test_an_error_of_no_known_code_is_told_in_the_servers_words(body: Any) -> None:
    failure = failure_in(body)
    assert (failure.kind, failure.detail) == (ErrorKind.BAD_REPLY, "HTTP 200 with an error: the tide is out")


@pytest.mark.parametrize("error", [{"code": 502, "message": "gone"}, {"message": "gone"}])
def test_half_a_text_beside_an_error_is_an_answer_that_was_broken_off(error: Any) -> None:
    assert failure_in({"error": error, "choices": [HALF]}).kind is ErrorKind.INCOMPLETE


@pytest.mark.parametrize("body", [{}, {"request_id": "x", "status": "queued"}, {"choices": []}, [], [1, 2], None, "no"])
def test_a_body_that_tells_of_no_error_is_no_completion(body: Any) -> None:
    failure = failure_in(body)
    assert (failure.kind, failure.detail[:48]) == (
        ErrorKind.BAD_REPLY,
        "the server answered 200 with JSON that is no cha",
    )


@pytest.mark.parametrize(
    "more",
    [
        *({"error": None}, {"error": ""}, {"error": {}}, {"error": False}, {"error": {"code": 0, "message": "ok"}}),
        *({"error": {"code": 0}}, {"error": {"code": None, "message": ""}}, {"error": {"code": "success"}}),
        *({"code": 0, "message": "ok"}, {"status": 200, "detail": ""}),
    ],
)
def test_what_stands_beside_an_answer_without_being_an_error_is_none(more: Any) -> None:
    body = {**more, "choices": [{**HALF, "message": {"content": "Green."}}]}
    assert read_completion(json.dumps(body).encode(), 200).text == "Green."


@pytest.mark.parametrize(
    ("pieces", "error", "kind"),
    [
        (["Half of"], {"error": {"message": "gone", "code": 502}}, ErrorKind.INCOMPLETE),
        (["Half of"], {"error": "gone"}, ErrorKind.INCOMPLETE),
        (["Half of"], {"type": "error", "message": "gone"}, ErrorKind.INCOMPLETE),
        ([], {"error": {"message": "who are you", "code": 401}}, ErrorKind.DENIED),
        ([], {"type": "error", "error": {"type": "authentication_error"}}, ErrorKind.DENIED),
        ([], {"code": 401, "message": "who are you"}, ErrorKind.DENIED),
        (["Half of"], {"code": 429, "message": "enough"}, ErrorKind.RATE_LIMITED),
    ],
)
def test_a_stream_that_ends_in_an_error_is_one(pieces: list[str], error: Any, kind: ErrorKind) -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces] + [error]
    content = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    with pytest.raises(CompletionError) as raised:
        read_completion(content.encode(), 200)
    assert raised.value.kind is kind


@pytest.mark.parametrize(
    "body", [{"error": {"type": "authentication_error"}}, {"code": 401}, [{"error": {"status": "UNAUTHENTICATED"}}]]
)
def test_a_wrong_key_that_is_answered_with_400_is_one(body: Any) -> None:
    assert read_failure(json.dumps(body).encode(), 400).kind is ErrorKind.DENIED
