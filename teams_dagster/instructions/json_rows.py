"""Rows of JSON and JSONL files: a list, a list under one key, objects on lines of their own or one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from teams_dagster.core.json_numbers import whole_number
from teams_dagster.instructions.file_rows import ASKING_COLUMNS, FileRow, SeedFileError, cells_by_column


def json_rows(name: str, text: str) -> Iterator[FileRow]:
    """The rows of a JSON file. Raises SeedFileError where it holds no rows."""
    try:
        value = _parsed(text)
    except ValueError as error:
        if text.lstrip().startswith("{"):  # many published .json files hold one object a line
            return jsonl_rows(text) if _is_json(text.lstrip().partition("\n")[0]) else _stacked(name, text)
        raise _not_json(name, error) from error
    return (_from_value(row, item) for row, item in enumerate(_listed(name, value), 1))


def jsonl_rows(text: str) -> Iterator[FileRow]:
    """A row for each line."""
    for row, line in enumerate(text.rstrip().split("\n"), 1):
        if not line.strip():
            yield FileRow(row, {})
            continue
        try:
            value = _parsed(line)
        except ValueError as error:
            yield FileRow(row, None, f"not valid JSON: {error}")
        else:
            yield _from_value(row, value)


def _parsed(text: str) -> Any:
    """The JSON value of `text`; control characters in strings are let through, to be judged with their row.

    Raises ValueError, also where Python's parser runs into its own limits.
    """
    try:
        return json.loads(text, strict=False, parse_int=whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_json(text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


def _stacked(name: str, text: str) -> Iterator[FileRow]:
    """Objects of several lines, one after the other. Where one is broken the lines are rows, most of them broken."""
    decoder, at, found = json.JSONDecoder(strict=False, parse_int=whole_number), 0, list[Any]()
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if found:
                raise _not_json(name, error) from error
            return jsonl_rows(text)
        found.append(value)
        at = _SPACE.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
    return (_from_value(row, value) for row, value in enumerate(found, 1))


_SPACE = re.compile(r"[\s,]*")


def _not_json(name: str, error: Exception) -> SeedFileError:
    return SeedFileError(
        f"{name}: is not valid JSON: {error}. Fix it there, or give one object a line in a .jsonl file, where a "
        "broken line costs only itself."
    )


def _listed(name: str, value: Any) -> list[Any]:
    """The rows in a file's value: the list, the one list of objects under a key, or one object that is a row."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise SeedFileError(f"{name}: holds a {type(value).__name__}, not a list. Write a list of objects: [{{...}}].")
    asking = [cell for column, cell in cells_by_column(value).items() if column in ASKING_COLUMNS]
    if any(isinstance(cell, dict) or (isinstance(cell, list) and not _are_objects(cell)) for cell in asking):
        raise SeedFileError(
            f"{name}: holds columns, not rows. Write a list of objects: [{{...}}] (in pandas orient='records')."
        )
    if asking:
        return [value]
    lists = [cell for cell in value.values() if isinstance(cell, list) and _are_objects(cell)]
    if len(lists) == 1:
        return lists[0]
    raise SeedFileError(
        f"{name}: holds a dict, not a list, and {len(lists)} lists of objects under its keys. Write a list of objects:"
        " [{...}]."
    )


def _are_objects(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, dict) for item in value)


def _from_value(row: int, value: Any) -> FileRow:
    if not isinstance(value, dict):
        return FileRow(
            row, None, f'a JSON object is needed, such as {{"instruction": ...}}, not {type(value).__name__}'
        )
    return FileRow(row, cells_by_column(value))
