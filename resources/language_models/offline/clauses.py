"""The operations that add a sentence: constraints, depth and reasoning steps.

A text holds an aspect when the aspect's marker is found in it. An operation has something left while the text's kind
allows more aspects than it holds and one that fits is not there yet.
"""

from __future__ import annotations

import re
from functools import lru_cache

from resources.language_models.offline.kinds import Reading
from resources.language_models.offline.lexicon import Clause, choose, draw, lexicon
from teams_dagster.core.operations import Operation

_ANSWER_SLOT = re.compile(r"\n\s*[A-Z][\w ]{0,20}:\s*$")


@lru_cache(maxsize=4096)
def held_clauses(operation: Operation, reading: Reading) -> tuple[Clause, ...]:
    """The aspects of `operation` that fit the text's kind and that it holds."""
    lowered = reading.text.lower()
    return tuple(clause for clause in _fitting(operation, reading) if clause.marker.search(lowered))


def missing_clauses(operation: Operation, reading: Reading) -> list[Clause]:
    """The aspects of `operation` that fit the text and that it does not hold; empty when it holds enough."""
    limit = lexicon().limits[operation].get(reading.kind, 0)
    if not limit or len(held := held_clauses(operation, reading)) >= limit:
        return []
    return [clause for clause in _fitting(operation, reading) if clause not in held]


def add_clause(operation: Operation, reading: Reading, replica: int) -> str | None:
    """The text with one more sentence of `operation`; None when nothing is left to add.

    Reasoning steps come in their natural order; of constraints and depth the text and the replica choose.
    """
    missing = missing_clauses(operation, reading)
    if not missing:
        return None
    ordered = operation is Operation.INCREASE_REASONING_STEPS
    clause = missing[0 if ordered else draw(len(missing), "aspect", reading.text, replica)]
    return append_sentence(reading.text, choose(clause.texts, "clause", reading.text, replica))


def append_sentence(text: str, sentence: str) -> str:
    """`text` with one more sentence at its end, before a slot such as `Answer:` that waits to be filled."""
    body, slot = text.rstrip(), ""
    if match := _ANSWER_SLOT.search(body):
        body, slot = body[: match.start()], match.group(0)
    if body.endswith(":"):
        body = body[:-1] + "."
    elif body and body.rstrip("\"'”’)`")[-1:] not in tuple(".?!"):
        body += "."
    separator = "\n\n" if "\n" in body else " "
    return f"{body}{separator}{sentence}{slot}" if body else sentence


def _fitting(operation: Operation, reading: Reading) -> list[Clause]:
    return [clause for clause in lexicon().clauses[operation] if reading.kind in clause.kinds]
