"""A DuckDB that reads Parquet files in bounded memory and leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "512MB"
"""What does not fit waits in a temporary folder."""


THREADS = 2
"""A check runs beside other work: it does not take the machine."""


@contextmanager
def scratch() -> Generator[duckdb.DuckDBPyConnection]:
    """An empty database in memory, closed when the block ends."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="teams-checks-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "threads": THREADS,
            "preserve_insertion_order": False,
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("set enable_progress_bar = false")  # it would write to the step's output
            yield connection
