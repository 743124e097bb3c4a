"""A completion that a server sends as a stream of events, though it was asked for whole: some do so by default."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from resources.language_models.openai_errors import error_within
from teams_dagster.core.json_numbers import whole_number

_BEGINNINGS = ("data:", "event:", "id:", "retry:", ":")
"""How a stream of server-sent events begins, and no JSON."""
_DONE = "[DONE]"
_JOINED = ("content", "reasoning_content", "reasoning", "refusal")
"""Texts that arrive in pieces."""
FILTER_RESULTS = ("content_filter_results", "content_filter_result", "prompt_filter_results", "prompt_annotations")
"""What a filter found, in a choice or beside it (Azure): in a stream, of each piece."""
_IN_PIECES = (*FILTER_RESULTS, "delta", "message", "text", "logprobs", "index")


def is_stream(text: str) -> bool:
    """Whether a body is a stream of server-sent events."""
    return text.lstrip().startswith(_BEGINNINGS)


def read_stream(text: str) -> dict[str, Any]:
    """The body that the same answer would have been whole; one of an error where an event tells of one.

    What never came is not in it: a stream that broke off has no finish reason. Raises ValueError for events that hold
    no JSON, and LookupError, TypeError or AttributeError for JSON of another form.
    """
    message: dict[str, Any] = {"role": "assistant"}
    choice: dict[str, Any] = {"index": 0, "message": message}
    whole: dict[str, Any] = {"choices": [choice]}
    tokens: list[Any] = []
    messages: list[Mapping[str, Any]] = []
    for event in _events(text):
        if error_within(event) is not None:
            return {"error": event.get("error") or event, "choices": [choice]}
        whole |= {name: value for name, value in event.items() if name != "choices" and value}
        for part in event["choices"]:
            if part.get("index", 0) == 0:
                _add(choice, message, tokens, part)
                messages += [said] if isinstance(said := part.get("message"), Mapping) else []
    if not any(message.get(name) for name in _JOINED):
        message |= _joined(messages)
    if tokens:
        choice["logprobs"] = {"content": tokens}
    return whole


def _add(choice: dict[str, Any], message: dict[str, Any], tokens: list[Any], part: Mapping[str, Any]) -> None:
    """Put a piece of the answer behind those before it."""
    delta = part.get("delta") or {"content": part.get("text")}
    for name in _JOINED:
        if isinstance(said := delta.get(name), str):
            message[name] = message.get(name, "") + said
    if delta.get("tool_calls"):
        message["tool_calls"] = delta["tool_calls"]
    choice |= {name: value for name, value in part.items() if name not in _IN_PIECES and value}
    choice |= {name: [*choice.get(name, []), part[name]] for name in FILTER_RESULTS if part.get(name)}
    tokens.extend((part.get("logprobs") or {}).get("content") or [])


def _joined(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The message of events that hold messages and no deltas: each a piece, or all that was written so far."""
    found: dict[str, Any] = {}
    for name in _JOINED:
        pieces = [piece for said in messages if isinstance(piece := said.get(name), str)]
        grows = all(later.startswith(earlier) for earlier, later in pairwise(pieces))
        if pieces:
            found[name] = pieces[-1] if grows else "".join(pieces)
    calls = [said["tool_calls"] for said in messages if said.get("tool_calls")]
    return found | ({"tool_calls": calls[-1]} if calls else {})


def _events(text: str) -> Iterator[Any]:
    """What each event holds; comments between them keep the connection alive and hold nothing."""
    for line in text.splitlines():
        field, _, value = line.partition(":")
        if field == "data" and value.strip() and value.strip() != _DONE:
            yield json.loads(value, parse_int=whole_number)
