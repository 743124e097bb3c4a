"""The text of a cell of a seed file, and why a row is not used."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from teams_dagster.core.type_guards import is_list
from teams_dagster.instructions.seed_turns import text_of_parts

_EXCEL_ERRORS = ("#n/a", "#name?", "#ref!", "#value!", "#null!", "#num!", "#div/0!", "#spill!")
NO_TEXT = ("nan", "<na>", "none", "null", "\\n", *_EXCEL_ERRORS)
"""What pandas, Python, databases and Excel write where there is no text."""

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
    """Its bytes are not UTF-8, or were read in another encoding on their way here."""
    ESCAPED = "escaped"
    """It holds what HTML, JSON or an address writes for a character, and does not speak of such."""
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
    if is_list(value) and all(isinstance(part, Mapping) for part in value):
        value = parts_text(column, value)
    if not isinstance(value, str):
        raise Refused(SeedRefusal.NOT_TEXT, f"`{column}` holds a {type(value).__name__}; write it as text")
    text = value.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if (formula := _EXCEL_TEXT.fullmatch(text)) is not None:
        text = formula[1].replace('""', '"')
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise Refused(SeedRefusal.NOT_UTF8, f"`{column}` has bytes that are not UTF-8; save the file as UTF-8")
        if category == "Cc" and character not in "\t\n":
            raise Refused(SeedRefusal.CONTROL_CHARACTERS, f"`{column}` holds U+{ord(character):04X}; remove it")
    _refuse_spoilt(column, text)
    return text


def _refuse_spoilt(column: str, text: str) -> None:
    """Raises `Refused` for a text that was decoded or escaped once too often."""
    if "\ufffd" in text:
        raise Refused(SeedRefusal.NOT_UTF8, f"`{column}` holds U+FFFD, which stands where a character was lost")
    if not text.isascii() and (twice := _decoded_twice(text)) is not None:
        found, meant = twice
        raise Refused(SeedRefusal.NOT_UTF8, f"`{column}` holds {found!r} for {meant!r}: UTF-8 was read as Windows-1252")
    escaped = next((found[0] for form in _ESCAPES if (found := form.search(text)) is not None), None)
    if escaped is not None and _SPEAKS_OF_ESCAPES.search(text) is None:
        raise Refused(SeedRefusal.ESCAPED, f"`{column}` holds {escaped!r} for a character: unescape it")


_EXCEL_TEXT = re.compile(r'="(.*)"', re.DOTALL)
"""How Excel writes a text that it is not to take for a number."""
_ESCAPES = (
    re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|[lr][sd]quo|[mn]dash|hellip|#\d{2,6}|#[xX][0-9a-fA-F]{2,6});"),
    re.compile(r"\\u[0-9a-fA-F]{4}"),
    re.compile(r"\A(?!\S*://)\S*?%20\S*\Z"),
)
_SPEAKS_OF_ESCAPES = re.compile(
    r"(?i)\b(?:[xs]?html|xml|json|entit\w+|escap\w+|unescap\w+|encod\w+|decod\w+|unicode|utf|code|regex\w*|python|"
    r"javascript|java|css|urls?)\b|[<`{]"
)
"""A text with markup or code in it, or about it, may mean what it says."""
_READ_AS_1252 = re.compile(r"[\u00c2\u00c3][^\x00-\x7f\u00bb]|\u00e2[^\x00-\x7f]{2}|\u00f0[^\x00-\x7f]{3}")
"""How the bytes of most characters beyond ASCII look as Windows-1252."""


def _decoded_twice(text: str) -> tuple[str, str] | None:
    """The first characters of `text` that are another's bytes in UTF-8, and that one; None where there are none."""
    for found in _READ_AS_1252.finditer(text):
        content = b"".join(_byte_of(character) for character in found[0])
        try:
            return found[0], content.decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _byte_of(character: str) -> bytes:
    """The byte that Windows-1252 reads as `character`, or Latin-1 where that has none; nothing for others."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return character.encode(encoding)
        except UnicodeEncodeError:
            continue
    return b""


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
