"""Whatever a provider's files and batches say, reading them ends in a value or in a named failure."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.language_models.openai_batch_replies import read_line, read_metadata, read_object, read_page, read_state
from resources.language_models.openai_failures import read_failure
from resources.language_models.openai_replies import read_completion
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind
from teams_dagster.llm.batches import BatchState
from tests.support.odd_endpoints import ENDPOINTS
from tests.support.openai_server import Reply

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 100}

KEYS = st.sampled_from(
    "id custom_id response error status_code body code message choices content usage status request_counts completed "
    "errors data metadata line".split()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 600) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)


@given(line=st.binary(max_size=80) | OBJECTS.map(lambda value: json.dumps(value).encode()))
def test_every_line_is_a_result_or_a_named_failure(line: bytes) -> None:
    request_id, result = read_line(line)
    assert request_id is None or isinstance(request_id, str)
    assert isinstance(result, Completion | CompletionError)


@given(custom_id=st.text(max_size=20), cut=st.integers(1, 40))
def test_a_line_that_breaks_off_after_its_id_still_names_it(custom_id: str, cut: int) -> None:
    line = json.dumps({"id": "x", "custom_id": custom_id, "response": {"status_code": 200, "body": "y" * 40}}).encode()
    request_id, result = read_line(line[:-cut])
    assert request_id == custom_id
    assert isinstance(result, CompletionError)
    assert result.kind is ErrorKind.NOT_JSON


@given(batch=OBJECTS)
def test_every_object_is_a_state_or_a_named_failure(batch: dict[str, object]) -> None:
    read_metadata(batch, "teams_batch")
    with suppress(CompletionError):
        assert isinstance(read_state(batch), BatchState)


@given(content=st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_every_page_is_a_list_of_objects_or_a_named_failure(content: bytes) -> None:
    with suppress(CompletionError):
        assert all(isinstance(each, dict) for each in read_page(read_object(content)))


def what_came(read: Any) -> tuple[str, str]:
    """The outcome with its text, or the kind of failure with what it says."""
    try:
        said = read()
    except CompletionError as error:
        said = error
    return (said.outcome, said.text) if isinstance(said, Completion) else (said.kind, said.detail)


@pytest.mark.parametrize("endpoint", [name for name in ENDPOINTS if name != "Latin-1"])  # a line is UTF-8
def test_a_line_is_what_the_same_response_is_to_a_direct_query(endpoint: str) -> None:
    found = ENDPOINTS[endpoint](ASKED, "The tide is an effect of the moon.")
    status, body = (200, json.dumps(found.body("m"))) if isinstance(found, Reply) else (found.status, found.body)
    content = body.encode() if isinstance(body, str) else body
    text = content.decode("utf-8-sig")
    try:
        sent = json.loads(text)
    except ValueError:
        sent = text
    line = json.dumps({"custom_id": "1", "response": {"status_code": status, "body": sent}}).encode()

    def directly() -> Completion:
        if 200 <= status < 300:
            return read_completion(text.encode(), status)
        raise read_failure(text.encode(), status)

    _, batched = read_line(line)
    direct = what_came(directly)
    assert what_came(lambda: batched)[0] == direct[0]
    if isinstance(batched, Completion):
        assert batched.text == direct[1]


@pytest.mark.parametrize("status", [200, "200", 200.0])
@pytest.mark.parametrize("body", [Reply("fine").body("m"), json.dumps(Reply("fine").body("m"))])
def test_a_line_is_read_in_each_of_its_forms(status: object, body: object) -> None:
    line = json.dumps({"custom_id": "1", "response": {"status_code": status, "body": body}}).encode()
    _, said = read_line(line)
    assert isinstance(said, Completion)
    assert said.text == "fine"


def batch(status: str, **more: object) -> BatchState:
    return read_state({"id": "batch-1", "status": status, **more})


@pytest.mark.parametrize(
    "status", ["completed", "canceled", "Cancelled", "succeeded", "ended", "error", "timed_out", "TERMINATED"]
)
def test_a_batch_has_ended_by_whatever_word(status: str) -> None:
    assert not batch(status).running


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "queued", "a new word"])
def test_a_batch_runs_until_a_day_after_it_was_to_end_and_not_for_ever(status: str) -> None:
    now = time.time()
    assert batch(status).running
    assert batch(status, created_at=now - 3_600, expires_at=now + 82_800).running
    assert not batch(status, expires_at=now - 2 * 86_400).running
    assert not batch(status, created_at=now - 3 * 86_400).running
