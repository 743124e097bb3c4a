"""Rows of JSON and JSONL files: a list, a list under one key, objects on lines of their own or one after the other.

A row is an object, or a list of turns; a list of texts is one of instructions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from teams_dagster.core.json_numbers import whole_number
from teams_dagster.core.type_guards import is_dict, is_list
from teams_dagster.instructions.column_names import INSTRUCTIONS
from teams_dagster.instructions.file_rows import (
    ASKING_COLUMNS,
    COLUMNS,
    CONVERSATION_COLUMNS,
    FileRow,
    SeedFileError,
    cells_by_column,
    column_name,
    object_of,
    row_of,
)
from teams_dagster.instructions.seed_turns import TURN_KEYS


def json_rows(name: str, text: str) -> Iterator[FileRow]:
    """The rows of a JSON file. Raises SeedFileError where it holds no rows."""
    try:
        value = _parsed(text)
    except ValueError as error:
        first = text.lstrip()
        if first.startswith(("{", "[")) and _parses(first.partition("\n")[0]):
            return _lines(text)  # many published .json files hold one object a line
        if not first.startswith("{"):
            raise _not_json(name, text, error) from error
        try:
            return iter(_stacked(text))
        except ValueError as inside:
            if inside.args[0] == _NONE_WHOLE:
                return _lines(text)
            raise _not_json(name, text, inside) from inside
    return (_from_value(row, item) for row, item in enumerate(_listed(name, value), 1))


def jsonl_rows(text: str) -> Iterator[FileRow]:
    """A row for each line; of a list, or of objects over several lines, a row for each of these."""
    first, _, others = text.strip().partition("\n")
    if first.startswith("[") and not (others and _parses(first)):
        try:
            value = _parsed(text)
        except ValueError:
            return _lines(text)
        if is_list(value) and not _are_turns(value) and _are_objects(value):
            return (_from_value(row, item) for row, item in enumerate(value, 1))
    elif others and not _parses(first):
        try:
            return iter(_stacked(text))
        except ValueError:
            return _lines(text)
    return _lines(text)


def is_json(text: str) -> bool:
    """Whether a text is JSON, or begins with a line of JSON, that holds rows."""
    first = text.lstrip()
    return first.startswith(("{", "[")) and (_parses(first.partition("\n")[0]) or _parses(text))


def _lines(text: str) -> Iterator[FileRow]:
    for row, line in enumerate(text.rstrip().split("\n"), 1):
        if not line.strip():
            yield FileRow(row, {})
            continue
        try:
            value = _parsed(line)
        except ValueError as error:
            yield FileRow(row, None, f"not valid JSON: {_fault(line, error)}")
        else:
            yield _from_value(row, value)


def _parsed(text: str) -> Any:
    """The JSON value of `text`; control characters in strings are let through, to be judged with their row.

    Raises ValueError, also where Python's parser runs into its own limits, and where a key that is understood is there
    twice.
    """
    try:
        return _DECODER.decode(text.strip())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = object_of(pairs)
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        read = COLUMNS | TURN_KEYS
        twice = next((name for name in names if names.count(name) > 1 and column_name(name) in read), None)
        if twice is not None:
            raise ValueError(f"the key {twice!r} appears twice")
    return found


_DECODER = json.JSONDecoder(strict=False, parse_int=whole_number, object_pairs_hook=_object)


def _parses(text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


_NONE_WHOLE = "no object is whole"


def _stacked(text: str) -> list[FileRow]:
    """Objects of several lines, one after the other. Raises ValueError where one is broken, or none is whole."""
    at, found = _SPACE.match(text).end(), list[Any]()  # pyright: ignore[reportOptionalMemberAccess]
    while at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise ValueError(str(error) if found else _NONE_WHOLE) from error
        found.append(value)
        at = _SPACE.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
    return [_from_value(row, value) for row, value in enumerate(found, 1)]


_SPACE = re.compile(r"[\s,]*")


_OTHER_FORMS = (
    (re.compile(r"\s*\[?\s*\{\s*'"), "this is Python's notation: write it with json.dumps"),
    (re.compile(r"\s*\[?\s*\{\s*[\u201c\u201d\u201e\u00ab]"), "its quotes are a word processor's: write plain ones"),
    (re.compile(r"\s*\[?\s*\{\s*\w+\s*:"), 'its keys stand without quotes: write {"instruction": ...}'),
    (re.compile(r"\s*```"), "this is Markdown: take the lines with ``` out"),
    (re.compile(r"\s*(?:---\s*\n)?- \w+:"), "this is YAML: write it as JSON"),
    (re.compile(r"\s*(?:#|//|/\*)"), "it begins with a comment, which JSON does not have: take it out"),
)
"""What people take for JSON, by how it begins."""
_TRAILING = re.compile(r",\s*[}\]]")


def _fault(text: str, error: Exception) -> str:
    """What is wrong with a text that is no JSON: what it is instead, else what the parser says."""
    what = next((what for form, what in _OTHER_FORMS if form.match(text)), None)
    if what is None and isinstance(error, json.JSONDecodeError) and _ends_in_comma(error):
        what = f"a comma stands before a closing bracket in line {error.lineno}: take it out"
    return what or str(error)


def _ends_in_comma(error: json.JSONDecodeError) -> bool:
    """Whether the parser stopped at a bracket that follows a comma, or at that comma."""
    before = error.doc[: error.pos].rstrip()
    return before.endswith(",") and _TRAILING.match(error.doc, len(before) - 1) is not None


def _not_json(name: str, text: str, error: Exception) -> SeedFileError:
    return SeedFileError(
        f"{name}: is not valid JSON: {_fault(text, error)}. Fix it there, or give one object a line in a .jsonl file,"
        " where a broken line costs only itself."
    )


def _listed(name: str, value: Any) -> list[Any]:
    """The rows in a file's value: the list, the one list of objects under a key, or one object that is a row."""
    if is_list(value):
        if value and all(isinstance(item, str) for item in value):
            return [{INSTRUCTIONS[0]: item} for item in value]
        return [value] if _are_turns(value) else value
    if not is_dict(value):
        raise SeedFileError(f"{name}: holds a {type(value).__name__}, not a list. Write a list of objects: [{{...}}].")
    asking = [cell for column, cell in cells_by_column(value).items() if column in ASKING_COLUMNS]
    if any(isinstance(cell, dict) or (is_list(cell) and not _are_objects(cell)) for cell in asking):
        raise SeedFileError(
            f"{name}: holds columns, not rows. Write a list of objects: [{{...}}] (in pandas orient='records')."
        )
    if asking:
        return [value]
    lists = [cell for cell in value.values() if is_list(cell) and _are_objects(cell)]
    if len(lists) == 1:
        return lists[0]
    raise SeedFileError(
        f"{name}: holds a dict, not a list, and {len(lists)} lists of objects under its keys. Write a list of objects:"
        " [{...}]."
    )


def _are_objects(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, dict) for item in value)


def _are_turns(value: list[Any]) -> bool:
    """Whether a list is a conversation, and not a list of rows."""
    return _are_objects(value) and all(
        not ASKING_COLUMNS.intersection(item) and bool({"role", "from"}.intersection(item)) for item in value
    )


def _from_value(row: int, value: Any) -> FileRow:
    if is_list(value) and _are_turns(value):
        return FileRow(row, {CONVERSATION_COLUMNS[0]: value})
    if not is_dict(value):
        return FileRow(
            row, None, f'a JSON object is needed, such as {{"instruction": ...}}, not {type(value).__name__}'
        )
    return row_of(row, value)
