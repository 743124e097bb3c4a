"""The tables that assets leave as immutable Parquet beside their artefacts, and how they are written.

An artefact folder holds `manifest.json` (its presence means complete) and files named `<table>.parquet`. Every row of
them carries `row_hash`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Self, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.files import replacing
from teams_dagster.core.row_hash import ROW_HASH, batch_hashes
from teams_dagster.store.transition_row import TransitionRow

ROWS_AT_ONCE = 20_000
"""Rows held in memory, and rows of one Parquet row group."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Table:
    """A table's columns and how the read model puts several artefacts' rows together."""

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    """What makes a row the same row; the first artefact that brings it wins. Empty: every row is kept."""
    current_only: bool = False
    """Whether only the rows of current artefacts count; else history is kept."""
    latest_wins: bool = False
    """Whether the last artefact that brings a row wins: an id that names the place of a row, not all of its content."""


class TableError(ValueError):
    """Rows that do not fit their table; the message names the column."""


_TEXT, _INT, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _schema(required: dict[str, pa.DataType], optional: dict[str, pa.DataType]) -> pa.Schema:
    """Columns of a table; every row also carries the hash of its others."""
    return pa.schema(
        [pa.field(column, kind, nullable=False) for column, kind in required.items()]
        + [pa.field(column, kind) for column, kind in optional.items()]
        + [pa.field(ROW_HASH, _TEXT)]
    )


def _schema_of(row: type[TransitionRow]) -> pa.Schema:
    """Columns as a row declares them: those that may be None are optional."""
    kinds = {str: _TEXT, int: _INT, float: _REAL, bool: _BOOL}
    declared = {column: get_args(hint) or (hint,) for column, hint in get_type_hints(row).items()}
    required = {column: kinds[hints[0]] for column, hints in declared.items() if NoneType not in hints}
    optional = {column: kinds[hints[0]] for column, hints in declared.items() if NoneType in hints}
    return _schema(required, optional)


SEEDS = Table(
    "seeds",
    _schema(
        {"seed_id": _TEXT, "instruction_id": _TEXT, "text": _TEXT, "input": _TEXT, "response": _TEXT, "row": _INT},
        {"source": _TEXT, "source_sha256": _TEXT, "cluster_id": _TEXT, "run_id": _TEXT},
    ),
    ("seed_id",),
)
REFUSED_SEEDS = Table(
    "refused_seeds",
    _schema({"source": _TEXT, "row": _INT, "reason": _TEXT, "detail": _TEXT}, {"run_id": _TEXT}),
    (),
    current_only=True,
)
PROMPT_TEMPLATES = Table(
    "prompt_templates",
    _schema({"prompt_version": _TEXT, "name": _TEXT, "text": _TEXT}, {"run_id": _TEXT}),
    ("prompt_version",),
)
GENERATIONS = Table(
    "generations",
    _schema(
        {"generation_version": _TEXT, "partition_key": _TEXT, "policy_version": _TEXT, "seeds_version": _TEXT},
        {"seeds": _INT, "root_seed": _INT, "fresh": _INT, "manifest": _TEXT, "run_id": _TEXT},
    ),
    ("generation_version",),
)
POLICIES = Table(
    "policies",
    _schema(
        {"policy_version": _TEXT, "algorithm": _TEXT},
        {
            "config": _TEXT,
            "instructor": _TEXT,
            "reviewer": _TEXT,
            "guide": _TEXT,
            "seeds_version": _TEXT,
            "pool_version": _TEXT,
            "feature_version": _TEXT,
            "iterations": _INT,
            "queries": _INT,
            "cost_nano_usd": _INT,
            "unpriced": _INT,
            "run_id": _TEXT,
        },
    ),
    ("policy_version",),
)
INSTRUCTIONS = Table(
    "instructions", _schema({"instruction_id": _TEXT, "text": _TEXT, "input": _TEXT}, {}), ("instruction_id",)
)
TRANSITIONS = Table("transitions", _schema_of(TransitionRow), ("transition_id",), latest_wins=True)
SAMPLES = Table(
    "samples",
    _schema(
        {
            "sample_id": _TEXT,
            "transition_id": _TEXT,
            "episode_id": _TEXT,
            "step": _INT,
            "partition_key": _TEXT,
            "seed_id": _TEXT,
            "instruction_id": _TEXT,
            "instruction": _TEXT,
            "input": _TEXT,
            "accepted": _BOOL,
        },
        {"response": _TEXT, "respond_request_id": _TEXT, "reason": _TEXT, "reasoning": _TEXT, "run_id": _TEXT},
    ),
    ("sample_id",),
    current_only=True,
)
SAMPLE_ANSWERS = Table(
    "sample_answers",
    _schema(
        {"sample_id": _TEXT, "answer": _INT, "partition_key": _TEXT, "accepted": _BOOL},
        {"response": _TEXT, "respond_request_id": _TEXT, "reason": _TEXT, "reasoning": _TEXT, "run_id": _TEXT},
    ),
    ("sample_id", "answer"),
    current_only=True,
)
PAIR_SCORES = Table(
    "pair_scores",
    _schema(
        {
            "sample_id": _TEXT,
            "answer": _INT,
            "partition_key": _TEXT,
            "chosen": _BOOL,
            "constraints": _INT,
            "broken": _INT,
        },
        {
            "score": _REAL,
            "rating": _TEXT,
            "broken_constraints": _TEXT,
            "respond_request_id": _TEXT,
            "judge_request_id": _TEXT,
            "prompt_version": _TEXT,
            "run_id": _TEXT,
        },
    ),
    ("sample_id", "answer"),
    current_only=True,
)
DATASET_SAMPLES = Table(
    "dataset_samples",
    _schema({"dataset_version": _TEXT, "sample_id": _TEXT, "split": _TEXT}, {"seed_id": _TEXT, "run_id": _TEXT}),
    ("dataset_version", "sample_id"),
)
MODELS = Table(
    "models",
    _schema(
        {"model_version": _TEXT, "kind": _TEXT, "path": _TEXT},
        {"sha256": _TEXT, "dataset_version": _TEXT, "base_version": _TEXT, "config": _TEXT, "run_id": _TEXT},
    ),
    ("model_version",),
)
POLICY_SCORES = Table(
    "policy_scores",
    _schema(
        {"policy": _TEXT, "metric": _TEXT, "mean": _REAL},
        {
            "ci_low": _REAL,
            "ci_high": _REAL,
            "episodes": _INT,
            "queries": _INT,
            "training_seeds": _INT,
            "policy_version": _TEXT,
            "run_id": _TEXT,
        },
    ),
    (),
    current_only=True,
)
EVALUATION_SCORES = Table(
    "evaluation_scores",
    _schema(
        {"model": _TEXT, "task": _TEXT, "metric": _TEXT, "value": _REAL},
        {
            "stderr": _REAL,
            "n": _INT,
            "ci_low": _REAL,
            "ci_high": _REAL,
            "model_version": _TEXT,
            "dataset_version": _TEXT,
            "run_id": _TEXT,
        },
    ),
    (),
    current_only=True,
)
STUDENT_ANSWERS = Table(
    "student_answers",
    _schema(
        {
            "model": _TEXT,
            "model_version": _TEXT,
            "sample_id": _TEXT,
            "seed_id": _TEXT,
            "prompt_tokens": _INT,
            "response": _TEXT,
            "tokens": _INT,
            "finished": _BOOL,
        },
        {"run_id": _TEXT},
    ),
    (),
    current_only=True,
)
JUDGEMENTS = Table(
    "judgements",
    _schema(
        {"model": _TEXT, "against": _TEXT, "sample_id": _TEXT, "first": _TEXT, "verdict": _TEXT},
        {"judge_request_id": _TEXT, "prompt_version": _TEXT, "run_id": _TEXT},
    ),
    (),
    current_only=True,
)
WIN_RATES = Table(
    "win_rates",
    _schema(
        {
            "model": _TEXT,
            "against": _TEXT,
            "questions": _INT,
            "pairs": _INT,
            "wins": _INT,
            "ties": _INT,
            "losses": _INT,
            "unclear": _INT,
            "contradictory": _INT,
            "win_rate": _REAL,
            "ci_low": _REAL,
            "ci_high": _REAL,
            "mean_length": _REAL,
            "mean_length_base": _REAL,
        },
        {
            "length_controlled": _REAL,
            "lc_low": _REAL,
            "lc_high": _REAL,
            "first_place_share": _REAL,
            "judge": _TEXT,
            "model_version": _TEXT,
            "dataset_version": _TEXT,
            "run_id": _TEXT,
        },
    ),
    (),
    current_only=True,
)
PAPER_TABLE = Table(
    "paper_table",
    _schema(
        {"quantity": _TEXT, "whose": _TEXT, "value": _REAL},
        {"ci_low": _REAL, "ci_high": _REAL, "source": _TEXT, "run_id": _TEXT},
    ),
    (),
    current_only=True,
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SEEDS,
        REFUSED_SEEDS,
        PROMPT_TEMPLATES,
        GENERATIONS,
        POLICIES,
        INSTRUCTIONS,
        TRANSITIONS,
        SAMPLES,
        SAMPLE_ANSWERS,
        PAIR_SCORES,
        DATASET_SAMPLES,
        MODELS,
        POLICY_SCORES,
        EVALUATION_SCORES,
        STUDENT_ANSWERS,
        JUDGEMENTS,
        WIN_RATES,
        PAPER_TABLE,
    )
}


class TableWriter:
    """A table that is written a few rows at a time; the file appears, whole, when the block ends without an error.

    Memory holds at most ROWS_AT_ONCE rows.
    """

    def __init__(self, folder: Path, table: str) -> None:
        """Raises TableError for a table that does not exist."""
        if table not in TABLES:
            raise TableError(f"there is no table {table!r}; known: {', '.join(TABLES)}")
        self._table = TABLES[table]
        self._path = folder / f"{table}.parquet"
        self._waiting: list[Mapping[str, Any]] = []
        self._written = 0

    def __enter__(self) -> Self:
        self._opened = self._open()
        return self._opened.__enter__()

    @contextmanager
    def _open(self) -> Generator[Self]:
        schema = self._table.schema
        with replacing(self._path) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as self._file:
            yield self
            self._flush()

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows. A column that may be NULL can be left out of a row.

        Raises TableError for an unknown column, a missing value or one of the wrong type, at the latest when the
        block ends.
        """
        for row in rows:
            self._waiting.append(row)
            if len(self._waiting) == ROWS_AT_ONCE:
                self._flush()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows that were written to a file of this table before; columns that it did not have yet are NULL."""
        self._flush()
        there = set(batch.schema.names)
        columns = [
            batch.column(field.name) if field.name in there else pa.nulls(batch.num_rows, field.type)
            for field in self._table.schema
        ]
        known = pa.RecordBatch.from_arrays(columns, names=self._table.schema.names)
        self._file.write_batch(known.cast(self._table.schema))
        self._written += batch.num_rows

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_batch(_record_batch(self._table, self._waiting, self._written))
            self._written += len(self._waiting)
            self._waiting = []


def write_table(folder: Path, table: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write `rows` to `<folder>/<table>.parquet`, whole or not at all; returns its path. Raises TableError."""
    with TableWriter(folder, table) as writer:
        writer.write(rows)
    return folder / f"{table}.parquet"


def merge_tables(folder: Path, table: str, parts: Iterable[Path], key: str) -> Path:
    """Write the files of one table in `parts` to `<folder>/<table>.parquet`, whole or not at all; returns its path.

    Of rows with the same `key` the first stays. Memory holds the keys and a batch of rows. Raises TableError for a
    table that does not exist.
    """
    with TableWriter(folder, table) as writer:
        seen: set[str] = set()
        for part in parts:
            for batch in pq.ParquetFile(part / f"{table}.parquet").iter_batches(ROWS_AT_ONCE):
                names = batch.column(key).to_pylist()
                fresh = pa.array([not (name in seen or seen.add(name)) for name in names])
                writer.write_batch(batch.filter(fresh))
    return folder / f"{table}.parquet"


def _record_batch(table: Table, rows: list[Mapping[str, Any]], first: int) -> pa.RecordBatch:
    names = set(table.schema.names) - {ROW_HASH}
    for number, row in enumerate(rows, start=first):
        if not names.issuperset(row):
            unknown = sorted(set(row) - names)
            raise TableError(f"{table.name}, row {number}: no such column: {', '.join(unknown)}")
    fields = [field for field in table.schema if field.name != ROW_HASH]
    columns = [_column(table.name, field, [row.get(field.name) for row in rows], first) for field in fields]
    content = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
    hashes = pa.array(batch_hashes(table.name, content), _TEXT)
    return pa.RecordBatch.from_arrays([*columns, hashes], schema=table.schema)


def _column(table: str, field: pa.Field, values: list[Any], first: int) -> pa.Array:
    if not field.nullable:
        missing = next((number for number, value in enumerate(values) if value is None), None)
        if missing is not None:
            raise TableError(f"{table}.{field.name}, row {first + missing}: a value is required")
    try:
        if pa.types.is_integer(field.type):
            _refuse_fractions(values)
        return pa.array(values, field.type)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError) as error:
        raise TableError(f"{table}.{field.name} ({field.type}), rows from {first}: {error}") from error


def _refuse_fractions(values: list[Any]) -> None:
    """Arrow would cut them off in silence."""
    inferred = pa.array(values).type
    if not (pa.types.is_integer(inferred) or pa.types.is_null(inferred)):
        raise TypeError(f"{inferred} values are no integers")
