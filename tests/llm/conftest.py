"""Ledgers, on one database or on both, and a price list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
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


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A price list with one model: 100 dollars a million tokens of the prompt, 1,000 of the answer, batches at half."""
    path = tmp_path / "prices.toml"
    path.write_text(
        """
[[price]]
provider = "openai"
base_url = "*"
model = "m"
input = 100
output = 1000
batch_share = 0.5
"""
    )
    return path
