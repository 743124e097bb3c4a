"""Whether `teams.duckdb` says what its sources say: it is made anew beside itself, and every table compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from teams_dagster.store.artefacts import ArtefactFiles
from teams_dagster.store.publishing import read_lock
from teams_dagster.store.read_model import MEMORY_LIMIT, refresh

OWN = "read_model_state"
"""The table that says when a file was made: it differs in its times."""

_SOURCES = "select * exclude (refreshed_at) from {file}.read_model_state"


class SourcesMoved(Exception):
    """The sources grew while the file was made anew: a run is writing."""


@dataclass(frozen=True)
class TableDifference:
    """A table or view that is not what it would be if the file were made anew."""

    name: str
    added: int
    """Rows that it should not have."""
    lacking: int
    """Rows that it should have."""


def compare_read_model(ledger_url: str, artefacts: Iterable[ArtefactFiles], path: Path) -> list[TableDifference]:
    """What differs in the file at `path` from one made anew; tables that people added are left out.

    Raises SourcesMoved; NotNow while someone has the file open for writing.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        anew = Path(scratch) / path.name
        refresh(ledger_url, artefacts, anew, sealing=False)
        with read_lock(path), duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": scratch}) as both:
            both.execute("set enable_progress_bar = false")
            for name, file in (("published", path), ("anew", anew)):
                both.execute(f"attach '{str(file).replace(chr(39), chr(39) * 2)}' as {name} (read_only)")
            if _differences(both, _SOURCES) != (0, 0):
                raise SourcesMoved(f"{path} is behind its sources, which a run is writing to")
            tables = [TableDifference(name, *_differences(both, f"from {{file}}.{name}")) for name in _tables(both)]
            views = TableDifference("the views' definitions", *_differences(both, _VIEWS))
    return [found for found in (*tables, views) if found.added or found.lacking]


_VIEWS = "select view_name, sql from duckdb_views() where database_name = '{file}' and not internal"


def _tables(both: duckdb.DuckDBPyConnection) -> list[str]:
    named = "select table_name from duckdb_tables() where database_name = 'anew' and table_name <> ? order by all"
    return [name for (name,) in both.execute(named, [OWN]).fetchall()]


def _differences(both: duckdb.DuckDBPyConnection, rows: str) -> tuple[int, int]:
    """Rows that only the published file has, and rows that only the new one has. `rows` selects them of a `{file}`."""
    published, anew = (f"({rows.format(file=file)})" for file in ("published", "anew"))
    counted = "select count(*) from ({} except all {})"
    added, lacking = (
        both.execute(counted.format(*sides)).fetchall()[0][0] for sides in ((published, anew), (anew, published))
    )
    return added, lacking
