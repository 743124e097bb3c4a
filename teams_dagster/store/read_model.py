"""`teams.duckdb`: where people and reports read. It follows the ledger database and the assets' Parquet.

Nothing depends on it: it can be deleted and is made again. Refreshing adds what is new to a copy and publishes that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from teams_dagster.ledger.database import ledger_id, open_database, read_snapshot
from teams_dagster.store import source, views
from teams_dagster.store.artefacts import ArtefactFiles, CompleteArtefact, complete, sealed_name, store_id
from teams_dagster.store.damage import require_whole
from teams_dagster.store.hash_chain import Sealed, seal
from teams_dagster.store.kept_ledger import find_kept_ledger, keep_head, require_kept_rows
from teams_dagster.store.publishing import NotNow, draft, lock, publish, read_lock, set_aside, temp_dir
from teams_dagster.store.source import Position
from teams_dagster.store.tables import TABLES, Table

MEMORY_LIMIT = "768MB"
"""What DuckDB may use while it writes; what does not fit waits in a folder beside the draft."""

THREADS = 4
"""At most: each thread holds rows of its own."""

UP_TO_DATE = "up to date"
PUBLISHED = "published"


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh did."""

    published: bool
    reason: str
    """`published`, `up to date`, or why the file could not be replaced this time."""
    rows: dict[str, int] = field(default_factory=dict[str, int])
    """Rows of each table, when it was published."""
    seconds: float = 0.0
    head: str = ""
    """Head of the chain that seals what is stored."""
    ledger_id: str = ""
    """The ledger that holds the chain."""
    links: int = 0
    """Links that the chain gained: 0 where nothing was new."""


@dataclass(frozen=True)
class _State:
    """What a read model was made from."""

    version: str
    ledger_id: str
    position: Position
    artefacts: tuple[CompleteArtefact, ...]

    def can_become(self, wanted: _State) -> bool:
        """Whether adding rows is enough: nothing that was read is gone, as from a restored ledger."""
        return (
            (self.version, self.ledger_id) == (wanted.version, wanted.ledger_id)
            and all(had <= has for had, has in zip(astuple(self.position), astuple(wanted.position), strict=True))
            and {a.identity for a in self.artefacts} <= {a.identity for a in wanted.artefacts}
        )


def refresh(
    ledger_url: str, artefacts: Iterable[ArtefactFiles], path: Path, *, wait_s: float = 60.0, sealing: bool = True
) -> RefreshReport:
    """Bring the DuckDB file at `path` up to date with the ledger and the complete ones of `artefacts`.

    What is stored is sealed first, unless `sealing` is off: for a file that nobody is to read.

    Give artefacts oldest first: where two bring the same row, the first wins. Several processes may refresh at once,
    each waits its turn; a kill at any point is safe. While someone has the file open for writing, nothing is
    published and the report says so. Tables that people added to the file survive a refresh, not a rebuild.
    """
    began = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    there = find_kept_ledger(ledger_url, path.parent)
    engine = open_database(ledger_url)
    try:
        if there:
            require_kept_rows(engine, ledger_url, path.parent, asking=False)
        found = complete(artefacts)
        sealed = seal(engine, _sealable(path.parent, found)) if sealing else Sealed("", 0)
        if sealing:
            keep_head(engine, path.parent)
        with engine.connect() as connection:
            ledger = ledger_id(connection)
        try:
            rows = _bring_up_to_date(engine, found, path, wait_s)
        except NotNow as reason:
            rows, told = None, str(reason)
        else:
            told = PUBLISHED if rows is not None else UP_TO_DATE
    finally:
        engine.dispose()
    seconds = time.perf_counter() - began
    return RefreshReport(rows is not None, told, rows or {}, seconds, sealed.head, ledger, sealed.added)


def _sealable(data_dir: Path, artefacts: Sequence[CompleteArtefact]) -> list[tuple[str, str]]:
    """The artefacts by the names under which they are sealed, with their manifests' hashes."""
    if not artefacts:
        return []
    store = store_id(data_dir)
    return [(sealed_name(store, data_dir, artefact.folder), artefact.manifest_sha256) for artefact in artefacts]


def _bring_up_to_date(
    engine: sa.Engine, artefacts: tuple[CompleteArtefact, ...], path: Path, wait_s: float
) -> dict[str, int] | None:
    """Publish what is new; returns the rows of each table, None where nothing is new. Raises NotNow."""
    with lock(path, wait_s), read_lock(path) as reader, read_snapshot(engine) as ledger:
        wanted = _State(views.version(), ledger_id(ledger), source.end(ledger), artefacts)
        known = None if reader is None else _read_state(reader)
        if known is not None and known == wanted:
            return None
        extended = known if known is not None and known.can_become(wanted) else None
        try:
            return _publish(ledger, path, wanted, extended)
        except duckdb.Error as error:
            if extended is None:
                raise
            # Its beginning can be read, and the rest of it cannot: what it holds is made anew
            rows = _publish(ledger, path, wanted, None, damage=error)
    return rows


def _publish(
    ledger: sa.Connection, path: Path, wanted: _State, known: _State | None, *, damage: duckdb.Error | None = None
) -> dict[str, int]:
    """Put a file made from `wanted` in the place of `path`: what is there with what it lacks, or a new one.

    `known` is what the file there was made from, None for a new one; one with `damage` is kept under another name.
    """
    with draft(path, copied=known is not None) as place:
        with duckdb.connect(place, config=_config(place)) as connection:
            connection.execute("set enable_progress_bar = false")  # it would write to the step's output
            if known is None:
                views.create(connection)
                known = _State(wanted.version, wanted.ledger_id, Position(), ())
            _follow_ledger(connection, ledger, known.position)
            _follow_artefacts(connection, known.artefacts, wanted.artefacts)
            _write_state(connection, wanted)
            rows = _count(connection)
            connection.execute("checkpoint")
        if damage is not None:
            set_aside(path, damage)
        publish(place, path)
    return rows


def _config(place: Path) -> dict[str, str | bool | int | float | list[str]]:
    """How DuckDB writes a draft: in bounded memory at any size. The order of rows means nothing, keeping it costs."""
    return {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(temp_dir(place)),
        "threads": min(THREADS, os.cpu_count() or 1),
        "preserve_insertion_order": False,
    }


def _follow_ledger(connection: duckdb.DuckDBPyConnection, ledger: sa.Connection, since: Position) -> None:
    """Add what was written to the ledger after `since`."""
    if since.attempts > 0:
        _run(connection, "create temp table settled as from batch", source.settled_calls(ledger, since))
        connection.execute("delete from llm_calls where request_id in (select request_id from settled)")
        connection.execute("insert into llm_calls by name from settled")
        connection.execute("drop table settled")
    _run(connection, "insert into llm_calls by name from batch", source.new_calls(ledger, since))
    _run(connection, "insert into llm_requests by name from batch", source.new_uses(ledger, since))
    connection.execute(views.statement("drop_superseded_requests"))
    _run(connection, views.statement("insert_answers"), source.new_answers(ledger, since))


def _follow_artefacts(
    connection: duckdb.DuckDBPyConnection, known: Sequence[CompleteArtefact], wanted: Sequence[CompleteArtefact]
) -> None:
    """Add the history of artefacts not met before; where the current ones changed, take their rows alone."""
    met = {artefact.identity for artefact in known}
    new = [artefact for artefact in wanted if artefact.identity not in met]
    current = [artefact for artefact in wanted if artefact.current]
    for table in TABLES.values():
        if not table.current_only:
            _insert(connection, table, new)
        elif current != [artefact for artefact in known if artefact.current]:
            connection.execute(f"delete from {table.name}")
            _insert(connection, table, current)
    if known != wanted:
        connection.execute("delete from sample_hops")
        connection.execute(views.statement("insert_sample_hops"))


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, artefacts: Iterable[CompleteArtefact]) -> None:
    """Insert the rows of the artefacts that have this table.

    Of rows with the same key the first one stays, or the last where the table says so.
    """
    for artefact in artefacts:
        file = artefact.folder / f"{table.name}.parquet"
        if not file.exists():
            continue
        require_whole(file, artefact.folder)
        there = set(pq.read_schema(file).names)
        columns = ", ".join(name for name in table.schema.names if name in there)
        statement = (
            f"insert into {table.name} by name select {columns} "
            "from read_parquet($file, file_row_number = true) as incoming"
        )
        if table.latest_wins:
            keys = ", ".join(table.key)
            connection.execute(
                f"delete from {table.name} where ({keys}) in (select ({keys}) from read_parquet($file))",
                {"file": str(file)},
            )
        if table.key:
            same = " and ".join(f"known.{name} = incoming.{name}" for name in table.key)
            statement += (
                f" where not exists (select 1 from {table.name} as known where {same})"
                f" qualify row_number() over (partition by {', '.join(table.key)} order by file_row_number) = 1"
            )
        connection.execute(statement, {"file": str(file)})


def _read_state(connection: duckdb.DuckDBPyConnection) -> _State | None:
    """What the file was made from; None when this software cannot tell, and has to make it anew."""
    try:
        row = connection.execute(
            "select read_model_version, ledger_id, attempts_seq, results_seq, uses_seq, answers_seq "
            "from read_model_state"
        ).fetchone()
        artefacts = connection.execute(
            "select folder, manifest_sha256, current from artefacts order by position"
        ).fetchall()
    except duckdb.Error:
        return None
    if row is None:
        return None
    met = tuple(CompleteArtefact(Path(folder), digest, current) for folder, digest, current in artefacts)
    return _State(row[0], row[1], Position(*row[2:]), met)


def _write_state(connection: duckdb.DuckDBPyConnection, state: _State) -> None:
    position = state.position
    connection.execute("delete from read_model_state")
    connection.execute(
        "insert into read_model_state select ?, ?, ?, ?, ?, ?, epoch_ms(?)",
        [
            state.version,
            state.ledger_id,
            position.attempts,
            position.results,
            position.uses,
            position.answers,
            time.time_ns() // 1_000_000,
        ],
    )
    connection.execute("delete from artefacts")
    if state.artefacts:
        rows = [artefact.row(position) for position, artefact in enumerate(state.artefacts)]
        _run(connection, "insert into artefacts by name select * from batch", _artefact_table(rows))


def _artefact_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Columns that no row has a value of are left out: Arrow could not tell their type."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _run(connection: duckdb.DuckDBPyConnection, statement: str, batch: pa.Table | pa.RecordBatchReader) -> None:
    """Execute a statement that reads Arrow data under the name `batch`."""
    connection.register("batch", batch)
    connection.execute(statement)
    connection.unregister("batch")


def _count(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in ("llm_calls", "llm_requests", "answers", *TABLES):
        row = connection.execute(f"select count(*) from {name}").fetchone()
        counts[name] = 0 if row is None else row[0]
    return counts
