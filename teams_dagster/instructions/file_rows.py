"""What the readers of seed files and evaluation sets share: a row, and the error that names file and remedy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from teams_dagster.instructions.column_names import INPUTS, INSTRUCTIONS, OUTPUTS

INSTANCES_COLUMN = "instances"
CONVERSATION_COLUMNS = ("messages", "conversations", "conversation", "chat", "dialog", "dialogue")
CONTEXT_COLUMNS = (
    *("system", "system_prompt", "sys_prompt", "system_message", "system_instruction", "developer"),
    *("history", "chat_history", "conversation_history", "message_history", "previous_turns", "previous_messages"),
)
"""What some files keep of a conversation beside the instruction."""
TOOL_COLUMNS = ("tools", "functions", "tool_calls", "function_call")
MEDIA_COLUMNS = ("image", "images", "audio", "audios", "video", "videos")
"""What an instruction may speak of that is no text."""

COLUMNS = frozenset(
    (
        *(*INSTRUCTIONS, *INPUTS, *OUTPUTS, INSTANCES_COLUMN),
        *(*CONVERSATION_COLUMNS, *CONTEXT_COLUMNS, *TOOL_COLUMNS, *MEDIA_COLUMNS),
    )
)
"""Every column that is understood; others are ignored, and may be named as they like."""

ASKING_COLUMNS = frozenset((*INSTRUCTIONS, *CONVERSATION_COLUMNS))
"""Those of which a file of seeds has at least one."""


class SeedFileError(ValueError):
    """A seed file that cannot be used at all: the message names file, place and remedy."""


@dataclass(frozen=True)
class FileRow:
    """One row of a file: its cells by lower-case column name, or `broken`, what is wrong with its form."""

    row: int
    """Counted from 1; a line of a JSONL file, an element of a JSON list, a row after the header of a CSV file."""
    cells: Mapping[str, Any] | None
    broken: str = ""
    others: tuple[Any, ...] = ()
    """Cells that stand under a name which another cell's counts for: an evaluation set has texts there, too."""


def column_name(name: str) -> str:
    """A column's name as it is looked up: case, white space around it and how accents are composed do not matter."""
    return unicodedata.normalize("NFC", name).strip().lower()


def joined_name(column: str) -> str:
    """A column's name without what stands between its words: `systemPrompt` is `system_prompt`."""
    return re.sub(r"[\W_]", "", column_name(column))


def row_of(row: int, cells: Mapping[str, Any]) -> FileRow:
    """The row of an object; broken where two keys that are understood differ in case alone, and neither is lower."""
    found = cells_by_column(cells)
    if len(found) == len(cells):
        return FileRow(row, found)
    given: dict[str, list[str]] = {}
    for name in cells:
        given.setdefault(column_name(name), []).append(name)
    unclear = next((n for c, n in given.items() if c in COLUMNS and len(n) > 1 and c not in n), None)
    if unclear is not None:
        return FileRow(row, None, f"the keys {' and '.join(map(repr, unclear))} name one column; leave one of them")
    counts = {column: column if column in names else names[-1] for column, names in given.items()}
    return FileRow(row, found, others=tuple(cells[name] for name in cells if counts[column_name(name)] != name))


def object_of(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object of names and cells. Of a name that is there twice the last counts; the others stay under no name."""
    found: dict[str, Any] = {}
    for name, cell in pairs:
        if name in found:
            found[f"{name}\0{len(found)}"] = found[name]
        found[name] = cell
    return found


def cells_by_column(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of an object by `column_name`; of names that differ in case alone, the lower-case one counts."""
    by_name = {column_name(name): cell for name, cell in cells.items()}
    return by_name | {name: cells[name] for name in by_name if name in cells}


def refuse_twins(file: str, columns: Iterable[str]) -> None:
    """Raises SeedFileError where two columns of a table have one name that is understood."""
    seen: set[str] = set()
    for column in columns:
        if column in seen and column in COLUMNS:
            raise SeedFileError(f"{file}: the column {column!r} appears twice. Rename one.")
        seen.add(column)
