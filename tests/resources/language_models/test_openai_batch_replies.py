"""Whatever a provider's files and batches say, reading them ends in a value or in a named failure."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from resources.language_models.openai_batch_replies import read_line, read_metadata, read_object, read_page, read_state
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind
from teams_dagster.llm.batches import BatchState

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
