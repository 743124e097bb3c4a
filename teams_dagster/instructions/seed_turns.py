"""The turns of a conversation in a cell: as objects, as JSON or Python's notation in a text, or as parts of a table."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from teams_dagster.core.type_guards import is_list, is_mapping

Turns = Sequence[Mapping[str, Any]]

_ROLES = ("role", "from")
_CONTENTS = ("content", "value", "text")
TURN_KEYS = frozenset((*_ROLES, *_CONTENTS))
"""The keys of a turn that are read."""

_BEGINS_LIKE_TURNS = re.compile(r"\s*(?:array\()?\[?\s*\{\s*['\"](?:role|from|content|value)['\"]\s*:")

_TEXT_PARTS = ("text", "input_text", "output_text")
"""The kinds of part of a message that are text."""


class UnreadableTurns(ValueError):
    """A text that begins like a list of turns and is none."""


def turns_of(value: Any) -> Turns:
    """The turns that a cell holds; nothing for what is no conversation.

    A text counts where it is a list of turns as JSON or as Python writes one: tables of conversations that were saved
    as CSV have such. Raises UnreadableTurns for a text that only begins so.
    """
    if isinstance(value, str):
        return _written_turns(value)
    if is_mapping(value):
        value = [value] if _has_role(value) and isinstance(content_of(value), str) else _rows_of(value)
    if is_list(value) and value and all(isinstance(turn, Mapping) for turn in value):
        return () if all("type" in turn and not _has_role(turn) for turn in value) else value
    return ()


def role_of(turn: Mapping[str, Any]) -> str:
    """Who speaks in a turn, in lower case."""
    return str(next((turn[key] for key in _ROLES if turn.get(key)), "unknown")).lower()


def content_of(turn: Mapping[str, Any]) -> Any:
    """What is said in a turn, as it stands there; None for nothing."""
    return next((turn[key] for key in _CONTENTS if turn.get(key) is not None), None)


def text_of_parts(value: Any) -> tuple[str | None, str]:
    """The text of a list of parts of a message, and the kinds of its parts that are none.

    The text is None for what is no list of parts.
    """
    if not is_list(value) or not value:
        return None, ""
    if not all(isinstance(part, str) or (isinstance(part, Mapping) and "type" in part) for part in value):
        return None, ""
    texts = [part if isinstance(part, str) else _text_of_part(part) for part in value]
    others = {str(part["type"]) for part, text in zip(value, texts, strict=True) if text is None}
    return "".join(text for text in texts if text is not None), ", ".join(sorted(others))


def _text_of_part(part: Mapping[str, Any]) -> str | None:
    text = part.get("text")
    return text if part["type"] in _TEXT_PARTS and isinstance(text, str) else None


def _written_turns(text: str) -> Turns:
    if not _BEGINS_LIKE_TURNS.match(text):
        return ()
    for parse in (json.loads, ast.literal_eval):
        try:
            turns = turns_of(parse(text.strip()))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if turns and all(map(_has_role, turns)):
            return turns
    raise UnreadableTurns


def _rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns of an object of lists, as tables keep a list of objects; nothing where the lists differ in length."""
    lengths = {len(column) if is_list(column) else -1 for column in columns.values()}
    if not _has_role(columns) or len(lengths) != 1 or -1 in lengths:
        return []
    return [dict(zip(columns, turn, strict=True)) for turn in zip(*columns.values(), strict=True)]


def _has_role(turn: Mapping[str, Any]) -> bool:
    return any(turn.get(key) for key in _ROLES)
