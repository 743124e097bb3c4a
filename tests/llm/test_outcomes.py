"""What a billed completion turned out to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.protocol import Outcome
from teams_dagster.llm.settling import classify, storable


@pytest.mark.parametrize(
    ("text", "finish_reason", "refusal", "outcome"),
    [
        ("An answer.", "stop", None, Outcome.USABLE),
        ("An answer.", "", None, Outcome.USABLE),
        ("I'm sorry, I can't.", "stop", None, Outcome.USABLE),
        ("", "stop", None, Outcome.EMPTY),
        (" \n\t", "stop", None, Outcome.EMPTY),
        ("", "stop", "I will not.", Outcome.REFUSAL),
        ("half", "content_filter", None, Outcome.REFUSAL),
        ("half", "length", None, Outcome.TRUNCATED),
        ("", "length", None, Outcome.TRUNCATED),
        (None, "tool_calls", None, Outcome.MALFORMED),
        ("a\x00b", "stop", None, Outcome.MALFORMED),
        ("a\ud800b", "stop", None, Outcome.MALFORMED),
    ],
)
def test_each_completion_has_one_outcome(
    text: str | None, finish_reason: str, refusal: str | None, outcome: Outcome
) -> None:
    assert classify(text, finish_reason, refusal) is outcome


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_text_becomes_storable_and_a_storable_one_is_left_alone(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored
    assert storable(stored) == stored
    assert len(stored) == len(text)
