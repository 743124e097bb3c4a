"""Ledgers on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from teams_dagster.ledger.database import sqlite_url
from tests.support import postgres

POSTGRES = pytest.param(
    "postgresql",
    marks=[
        pytest.mark.postgres,
        pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)"),
    ],
)


@pytest.fixture(scope="module", params=["sqlite", POSTGRES])
def new_ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Gives the address of a ledger that nobody has opened yet."""
    if request.param == "sqlite":
        yield lambda: sqlite_url(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
        return
    with postgres.cluster() as address:
        yield lambda: postgres.new_database(address)
