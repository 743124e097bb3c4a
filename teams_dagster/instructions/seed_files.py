"""Reading rows from JSON, JSONL, CSV, TSV, Parquet and Arrow files, seeds or evaluation sets.

A bad row costs no good one: a reader gives one `FileRow` for each row of the file, in order, with its cells or why it
cannot be read. What a file holds is told by its content; its suffix counts where that could be several things. Text may
be packed (gzip, Zstandard, bzip2, xz, a zip archive of one file), in UTF-8, UTF-16 or UTF-32. Bytes of UTF-8 text that
are none become lone surrogates in the row that holds them (PEP 383) and are judged with the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from teams_dagster.core.type_guards import is_mapping
from teams_dagster.instructions.csv_rows import csv_rows, csv_texts, is_sentence, names_columns
from teams_dagster.instructions.file_content import PACKED, FileContent, content_of
from teams_dagster.instructions.file_rows import FileRow, SeedFileError
from teams_dagster.instructions.file_text import decoded
from teams_dagster.instructions.json_rows import is_json, json_rows, jsonl_rows
from teams_dagster.instructions.table_rows import is_table, table_rows

_LINES_OF_JSON = (".jsonl", ".ndjson")
_DELIMITED = (".csv", ".tsv")
_TABLES = (".parquet", ".arrow")
SUFFIXES = (".json", *_LINES_OF_JSON, *_DELIMITED, *_TABLES)

_SHOWN = 5
"""Files of a folder that are named."""


def read_rows(path: Path) -> Iterator[FileRow]:
    """The rows of `path`.

    Raises `SeedFileError` for a file that is missing, of an unknown kind, or broken as a whole.
    """
    return _rows(path, csv_rows)


def texts_in(path: Path) -> Iterator[str]:
    """Every text in every row of a file, whatever its column: an evaluation set to decontaminate against.

    A CSV file without a header has none to lose: a first row that holds data counts too, and so does the name of a
    column that is a sentence, as pandas makes one of such a row. Raises `SeedFileError` as
    `read_rows` does, for a row that is broken or is not UTF-8, and where there is no text at all: what is not read
    cannot be kept out.
    """
    none, named = True, set[str]()
    for row in _rows(path, csv_texts):
        if row.cells is None:
            raise SeedFileError(f"{path.name}, row {row.row}: {row.broken}. Fix or remove the row.")
        try:
            names = [name for name in row.cells if name not in named]
            named.update(names)
            for text in _strings([*filter(is_sentence, names), *row.cells.values(), *row.others]):
                text.encode("utf-8")
                none = none and not text.strip()
                yield text
        except UnicodeError:
            raise SeedFileError(
                f"{path.name}, row {row.row}: it has bytes that are not UTF-8. Save the file as UTF-8."
            ) from None
    if none:
        raise SeedFileError(f"{path.name}: it holds no text, so that nothing would be kept out. Give another file.")


def _strings(value: Any) -> Iterator[str]:
    """The texts in a cell. Raises UnicodeDecodeError for bytes that are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8")
    elif is_mapping(value):
        names = (name for name in value if isinstance(name, str) and is_sentence(name))
        yield from _strings([*names, *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[Any]", value):
            yield from _strings(item)


def _rows(path: Path, delimited: Callable[[str, str, bool], Iterator[FileRow]]) -> Iterator[FileRow]:
    """The rows of `path`; a table of text is read by `delimited`."""
    _check_place(path)
    content = content_of(path)
    if is_table(content.begins):
        return table_rows(content)
    if content.suffix not in SUFFIXES and not content.data:
        raise _unknown(path, content.suffix)
    return _text_rows(path, content, decoded(content.name, content.data or b""), delimited)


def _text_rows(
    path: Path, content: FileContent, text: str, delimited: Callable[[str, str, bool], Iterator[FileRow]]
) -> Iterator[FileRow]:
    name, suffix = content.name, content.suffix
    if suffix not in (".json", *_LINES_OF_JSON) and is_json(text):
        suffix = ".json"
    elif suffix not in _DELIMITED and names_columns(text):
        suffix = ".tsv"  # where only tabs would stand between cells, if any did
    if suffix in _DELIMITED:
        return delimited(name, text, suffix == ".tsv")
    if suffix == ".json":
        return json_rows(name, text)
    if suffix in _LINES_OF_JSON:
        return jsonl_rows(text)
    if suffix in _TABLES:
        raise SeedFileError(f"{name}: is not a readable {suffix[1:].title()} file: it holds text. Write it again.")
    raise _unknown(path, suffix)


def _check_place(path: Path) -> None:
    """Raises SeedFileError where `path` is no file, or one whose name says that it is packed twice."""
    if path.suffixes[-2:-1] == [".parquet"] and path.suffix.lower() in PACKED:
        raise SeedFileError(f"{path.name}: Parquet compresses by itself. Unpack it, and name the .parquet file.")
    if path.is_file():
        return
    if path.is_dir():
        what = "is a folder" + _files_in(path)
    elif path.is_symlink():
        what = f"is a link to {path.readlink()}, which does not exist"
    else:
        what = "does not exist"
    raise SeedFileError(f"The file {path} {what}. Give the path of a {_kinds()} file; TEAMS_SEEDS names the seeds.")


def _files_in(folder: Path) -> str:
    """The files of a folder that could be read, as the end of a sentence."""
    found = sorted(file.relative_to(folder).as_posix() for file in folder.glob("**/*") if file.suffix in SUFFIXES)
    rows = [name for name in found if not name.endswith(("dataset_info.json", "state.json", "dataset_dict.json"))]
    if not rows:
        return ""
    shown = ", ".join(rows[:_SHOWN]) + (", ..." if len(rows) > _SHOWN else "")
    saved = " that datasets saved" if len(rows) < len(found) else ""
    return f"{saved}, which holds {shown}: name one of them, or write them as one file"


def _unknown(path: Path, suffix: str) -> SeedFileError:
    shown = suffix if suffix and suffix not in PACKED else path.suffix.lower()
    lines = ""
    if suffix in (".txt", ".text", ".lst"):
        lines = " Where each line is an instruction, put the line `instruction` above them and call it .tsv."
    return SeedFileError(f"{path.name}: cannot tell its format from the suffix {shown!r}. Use {_kinds()}.{lines}")


def _kinds() -> str:
    return ", ".join(SUFFIXES[:-1]) + " or " + SUFFIXES[-1]
