"""What a billed completion turned out to be, from what the provider returned and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

from teams_dagster.core.protocol import Completion, Outcome

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: no text column and no UTF-8 file takes them."""


def classify(text: str | None, finish_reason: str, refusal: str | None = None) -> Outcome:
    """The outcome of a completion.

    `text` is None when the message holds no text (a tool call, a list of parts). A refusal is one only where the
    provider says so; refusals in words are the elimination rules' business.
    """
    if refusal or finish_reason == "content_filter":
        return Outcome.REFUSAL
    if finish_reason == "length":
        return Outcome.TRUNCATED
    if text is None or _UNSTORABLE.search(text):
        return Outcome.MALFORMED
    return Outcome.USABLE if text.strip() else Outcome.EMPTY


def storable(text: str) -> str:
    """`text` with what no database takes replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def storable_completion(completion: Completion) -> Completion:
    """`completion` as a database takes it; a text that had to be changed for it is malformed."""
    text, finish_reason = storable(completion.text), storable(completion.finish_reason)
    outcome = completion.outcome if text == completion.text else Outcome.MALFORMED
    return replace(completion, text=text, finish_reason=finish_reason, outcome=outcome)
