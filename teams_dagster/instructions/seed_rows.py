"""The instruction and the answer in a row of a seed file.

Columns understood: Alpaca (`instruction`, `input`, `output`) and self-instruct (`instruction`, `instances[].input`,
`instances[].output`, of which the first instance is taken). `prompt` or `question` stand for `instruction`, `context`
for `input`, `response`, `answer` or `completion` for `output`. Of columns that stand for the same, the first with
something usable counts. A conversation (OpenAI's and TRL's `messages`, ShareGPT's `conversations`, TRL's `prompt` and
`completion` as lists) is a seed where it is one user's turn, with an answer or none.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from teams_dagster.core.instruction import Instruction, from_user_message
from teams_dagster.instructions.file_rows import (
    CONTEXT_COLUMNS,
    CONVERSATION_COLUMNS,
    INPUT_COLUMNS,
    INSTANCES_COLUMN,
    INSTRUCTION_COLUMNS,
    OUTPUT_COLUMNS,
)

MAX_TOKENS = 5_000
"""The longest instruction and input together, by `about_tokens`: it leaves a rewrite room in an 8k context."""

MAX_CHARACTERS = 4 * MAX_TOKENS
"""What that is in English."""

NO_INPUT = ("<noinput>", "nan")
"""What self-instruct and pandas write for "no input"."""

_USERS = ("user", "human")
_ASSISTANTS = ("assistant", "gpt")


class SeedRefusal(StrEnum):
    """Why a row of a seed file is not used."""

    BROKEN = "broken"
    """The row cannot be parsed."""
    NO_INSTRUCTION_COLUMN = "no_instruction_column"
    EMPTY = "empty"
    """No letter or digit in the instruction."""
    NOT_TEXT = "not_text"
    """Instruction or input hold a number, a list or an object."""
    NOT_UTF8 = "not_utf8"
    CONTROL_CHARACTERS = "control_characters"
    """NUL and its kin; tabs and line ends are text."""
    TOO_LONG = "too_long"
    MULTI_TURN = "multi_turn"
    """A conversation of several turns or with a system prompt. A seed is one instruction, and no context is dropped."""
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


def about_tokens(text: str) -> float:
    """About how many tokens a text takes, whatever its script: four ASCII characters are one, or three other bytes.

    So a Chinese character is one, a Cyrillic letter two thirds. Tokenizers of many languages need fewer.
    """
    beyond_ascii = 0 if text.isascii() else sum(not character.isascii() for character in text)
    ascii_characters = len(text) - beyond_ascii
    return ascii_characters / 4 + (len(text.encode("utf-8", "surrogatepass")) - ascii_characters) / 3


def instruction_in(cells: Mapping[str, Any]) -> tuple[Instruction, str]:
    """The instruction of a row and the answer that people gave, "" where it has none. Raises `Refused`.

    An answer that is no text costs the answer alone.
    """
    if not any(cells.values()):
        raise Refused(SeedRefusal.EMPTY, "the row is empty")
    if (column := next((column for column in CONTEXT_COLUMNS if not _is_blank(cells.get(column))), None)) is not None:
        raise Refused(SeedRefusal.MULTI_TURN, f"`{column}` is not empty; a seed is one instruction with its input")
    conversation = _conversation(cells)
    if conversation is not None:
        asked, response = conversation
        text, material = asked.text, asked.input
    else:
        cells = {**cells, **_first_instance(cells)}
        text, material, response = _asked(cells), _material(cells), _answer(cells)
    if (tokens := about_tokens(text) + about_tokens(material)) > MAX_TOKENS:
        found = f"about {tokens:,.0f} tokens of instruction and input ({len(text) + len(material):,} characters)"
        raise Refused(SeedRefusal.TOO_LONG, f"{found}; at most {MAX_TOKENS:,}, {MAX_CHARACTERS:,} letters in English")
    if not any(character.isalnum() for character in text):
        raise Refused(SeedRefusal.EMPTY, f"no letter or digit in the instruction {text!r}")
    return Instruction(text.strip(), material), response.strip()


def _asked(cells: Mapping[str, Any]) -> str:
    columns = [column for column in INSTRUCTION_COLUMNS if column in cells]
    if not columns:
        raise Refused(SeedRefusal.NO_INSTRUCTION_COLUMN, f"columns found: {', '.join(cells)}")
    return _first_text(cells, columns) or ""


def _material(cells: Mapping[str, Any]) -> str:
    material = _first_text(cells, INPUT_COLUMNS) or ""
    return "" if material.strip().lower() in NO_INPUT else material


def _answer(cells: Mapping[str, Any]) -> str:
    """The first answer that is text; a number, a list or an object is none, and no reason to refuse the question."""
    for column in OUTPUT_COLUMNS:
        try:
            if text := _first_text(cells, [column]):
                return text
        except Refused:
            continue
    return ""


def _first_text(cells: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """The text under the first of `columns` that has one. Raises `Refused` for what stands there where none has."""
    refused: Refused | None = None
    for column in columns:
        if not _is_blank(value := cells.get(column)):
            try:
                return _text(column, value)
            except Refused as error:
                refused = refused or error
    if refused is not None:
        raise refused
    return None


def _is_blank(value: Any) -> bool:
    return (
        value is None
        or value == []
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _text(column: str, value: Any) -> str:
    """A cell's text, its line ends as `\\n`. Raises `Refused`."""
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


def _first_instance(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    instances = cells.get(INSTANCES_COLUMN) or [{}]
    if not isinstance(instances, list) or not isinstance(instances[0], Mapping):
        raise Refused(SeedRefusal.NOT_TEXT, "`instances` must be a list of objects with `input` and `output`")
    return instances[0]


def _conversation(cells: Mapping[str, Any]) -> tuple[Instruction, str] | None:
    """What the user says and what is answered, where a row is a conversation. Raises `Refused`."""
    if any(isinstance(cells.get(column), str) and cells[column].strip() for column in INSTRUCTION_COLUMNS):
        return None
    column = next((column for column in (*CONVERSATION_COLUMNS, "prompt") if _turns(cells.get(column))), None)
    if column is None:
        return None
    turns = [*cells[column], *(_turns(cells.get("completion")) if column == "prompt" else ())]
    said = [(_said_by(turn), _content(column, turn)) for turn in turns]
    said = [(role, content) for role, content in said if content or role != "system"]
    if len(said) == 1 and said[0][0] in _USERS:
        return from_user_message(said[0][1]), _answer(cells) if column == "prompt" else ""
    if len(said) == 2 and said[0][0] in _USERS and said[1][0] in _ASSISTANTS:
        return from_user_message(said[0][1]), said[1][1]
    roles = ", ".join(role for role, _ in said[:6])
    raise Refused(
        SeedRefusal.MULTI_TURN, f"`{column}` has the turns {roles}; a seed is one user's turn, with an answer or none"
    )


def _turns(value: Any) -> Sequence[Mapping[str, Any]]:
    """The turns of a conversation; nothing for what is none."""
    if isinstance(value, list) and value and all(isinstance(turn, Mapping) for turn in value):
        return value
    return ()


def _said_by(turn: Mapping[str, Any]) -> str:
    return str(turn.get("role") or turn.get("from") or "unknown").lower()


def _content(column: str, turn: Mapping[str, Any]) -> str:
    content = turn.get("content", turn.get("value"))
    return "" if _is_blank(content) else _text(column, content)
