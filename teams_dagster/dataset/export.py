"""The dataset as a folder that can be published: its rows in each format, and what describes exactly these files.

The same rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.files import file_sha256, replacing
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.card import DataCard, render_card
from teams_dagster.dataset.croissant import CROISSANT, ExportedFile, render_croissant
from teams_dagster.dataset.formats import Format, Thoughts
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split

FILES = "files"
"""The folder of an `instruction_dataset` artefact that holds the dataset."""


README = "README.md"


def describe_folder(folder: Path, card: DataCard) -> None:
    """Write the data card and the Croissant metadata of the files in `folder` beside them."""
    paths = [path for path in sorted(folder.iterdir()) if path.name not in (README, CROISSANT)]
    files = [ExportedFile(path.name, file_sha256(path), path.stat().st_size) for path in paths]
    (folder / README).write_text(render_card(card, [file.name for file in files]), encoding="utf-8")
    (folder / CROISSANT).write_text(render_croissant(card, files), encoding="utf-8")


ROWS_AT_ONCE = 10_000
CHARACTERS_AT_ONCE = 50_000_000
"""What memory holds of a split at most, but for one row more: the rows of one Parquet row group."""


def export_dataset(
    folder: Path, splits: Mapping[Split, Iterable[Example]], *, reasoning: bool = False
) -> dict[str, str]:
    """Write each split in each format into `folder`; returns the SHA-256 (hex) of each file by its name.

    `reasoning` says that examples may have thoughts: Parquet files then have a column for them. A file appears under
    its name only when it is complete, so an export that was cut off can be repeated. Rows are read once, and memory
    holds a few thousand of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = {}
    for split, examples in splits.items():
        write_split(folder, split, examples, reasoning=reasoning)
        digests |= {name: file_sha256(folder / name) for name in (form.file_name(split) for form in Format)}
    return digests


def examples_in(path: Path) -> Iterator[Example]:
    """The examples of a split's Parquet file, in order; memory holds a few thousand of them."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                instruction = Instruction(row["instruction"], row["input"])
                yield Example(
                    row["sample_id"], row["seed_id"], instruction, row["output"], reasoning=row.get("reasoning")
                )


def write_split(
    folder: Path,
    split: Split,
    examples: Iterable[Example],
    *,
    reasoning: bool,
    formats: Collection[Format] = tuple(Format),
    thoughts: Thoughts = Thoughts.FIELD,
) -> None:
    """Write one split in each of `formats` into `folder`, thoughts as `thoughts` says."""
    with ExitStack() as opened:
        drafts = {form: opened.enter_context(replacing(folder / form.file_name(split))) for form in formats}
        files = {form: opened.enter_context(draft.open("wb")) for form, draft in drafts.items()}
        writers = {form: opened.enter_context(form.writing(files[form], reasoning=reasoning)) for form in formats}
        for rows in _groups(examples):
            for form, write in writers.items():
                write([thoughts.placed(form, example) for example in rows])


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    rows: list[Example] = []
    characters = 0
    for example in examples:
        rows.append(example)
        characters += len(example.instruction.text) + len(example.instruction.input) + len(example.response)
        characters += len(example.reasoning or "")
        if len(rows) == ROWS_AT_ONCE or characters > CHARACTERS_AT_ONCE:
            yield rows
            rows, characters = [], 0
    if rows:
        yield rows
