"""The text of a cell of a seed file, and why a row is not used."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from teams_dagster.instructions.seed_turns import text_of_parts

NO_TEXT = ("nan", "<na>", "none", "null", "\\n")
"""What pandas, Python and databases write where there is no text."""

_NOTHING = ("[]", "{}", *NO_TEXT)


class SeedRefusal(StrEnum):
    """Why a row of a seed file is not used."""

    BROKEN = "broken"
    """The row cannot be parsed."""
    NO_INSTRUCTION_COLUMN = "no_instruction_column"
    EMPTY = "empty"
    """No letter or digit in the instruction."""
    NOT_TEXT = "not_text"
    """Instruction or input hold a number, a list, an object or an image."""
    NOT_UTF8 = "not_utf8"
    CONTROL_CHARACTERS = "control_characters"
    """NUL and its kin; tabs and line ends are text."""
    TOO_LONG = "too_long"
    MULTI_TURN = "multi_turn"
    """A conversation of several turns or with a system prompt. A seed is one instruction, and no context is dropped."""
    TOOLS = "tools"
    """It offers tools or functions, or calls one: the text alone would be another task."""
    INJECTION = "injection"
    """It orders the reviewer's verdict ("answer Not Equal")."""
    DUPLICATE = "duplicate"
    """The same as an earlier row but for case and white space."""
    CONTAMINATED = "contaminated"
    """Shares 13 words in a row with an evaluation text."""


class Refused(Exception):
    """A row that is not used; the message says what is wrong with it."""

    def __init__(self, reason: SeedRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing: null, NaN, white space, or an empty list."""
    return (
        value is None
        or value == []
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def holds_nothing(value: Any) -> bool:
    """The same, where an empty object and empty lists that were written as text are nothing too."""
    return is_blank(value) or value == {} or (isinstance(value, str) and value.strip().lower() in _NOTHING)


def cell_text(column: str, value: Any) -> str:
    """A cell's text, its line ends as `\\n`. Raises `Refused`."""
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        value = parts_text(column, value)
    if not isinstance(value, str):
        raise Refused(SeedRefusal.NOT_TEXT, f"`{column}` holds a {type(value).__name__}; write it as text")
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise Refused(SeedRefusal.NOT_UTF8, f"`{column}` has bytes that are not UTF-8; save the file as UTF-8")
        if category == "Cc" and character not in "\t\n":
            raise Refused(SeedRefusal.CONTROL_CHARACTERS, f"`{column}` holds U+{ord(character):04X}; remove it")
    return text


def parts_text(column: str, value: Any) -> Any:
    """The text of a message's parts, or `value` itself where it is no list of parts. Raises `Refused` for an image."""
    text, others = text_of_parts(value)
    if others:
        raise Refused(SeedRefusal.NOT_TEXT, f"`{column}` has a part of type {others}; a seed is text alone")
    return value if text is None else text


def first_text(cells: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """The text under the first of `columns` that has one. Raises `Refused` for what stands there where none has."""
    refused: Refused | None = None
    for column in columns:
        if not is_blank(value := cells.get(column)):
            try:
                return cell_text(column, value)
            except Refused as error:
                refused = refused or error
    if refused is not None:
        raise refused
    return None
