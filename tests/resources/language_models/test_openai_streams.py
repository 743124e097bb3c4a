"""A stream of events is the answer that it would have been whole, however its pieces are called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resources.language_models.openai_replies import read_completion
from teams_dagster.core.protocol import Outcome


def streamed(*parts: dict[str, Any], **more: Any) -> bytes:
    events = [{"choices": [{"index": 0, **part}], **more} for part in parts]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "parts",
    [
        [{"delta": {"content": "Green "}}, {"delta": {"content": "grass."}, "finish_reason": "stop"}],
        [{"message": {"content": "Green "}}, {"message": {"content": "grass."}, "finish_reason": "stop"}],
        [{"message": {"content": "Green grass."}, "finish_reason": "stop"}],
        [{"delta": {"content": "Green "}}, {"delta": {"content": "grass."}}, {"delta": {}, "finish_reason": "stop"}],
        [{"delta": {"content": "Green grass."}}, {"message": {"content": "Green grass."}, "finish_reason": "stop"}],
        [{"delta": None, "message": {"content": "Green grass."}}, {"delta": {}, "finish_reason": "stop"}],
    ],
)
def test_pieces_are_joined_whether_they_are_called_delta_or_message(parts: list[dict[str, Any]]) -> None:
    completion = read_completion(streamed(*parts), 200)
    assert (completion.text, completion.outcome) == ("Green grass.", Outcome.USABLE)


@pytest.mark.parametrize("error", [None, "", {}, {"code": 0, "message": "ok"}])
def test_no_error_beside_a_piece_is_none(error: Any) -> None:
    part = {"delta": {"content": "Green."}, "finish_reason": "stop"}
    assert read_completion(streamed(part, error=error), 200).text == "Green."
