"""The connection to the ledger: the database that takes the writes, and the DuckDB that people read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from resources.stores import ArtefactStore
from teams_dagster.ledger.artefacts import stored_artefacts
from teams_dagster.ledger.read_model import RefreshReport, refresh
from teams_dagster.ledger.writer import Ledger
from teams_dagster.settings import load_settings


class LedgerConnection(dg.ConfigurableResource):
    """Opens the ledger, and refreshes its read model from it and from the artefacts.

    The ledger's address can hold a password: it stays in the environment and never reaches Dagster's storage.
    """

    root: str
    store: dg.ResourceDependency[ArtefactStore]

    @property
    def _url(self) -> str:
        return load_settings(Path(self.root)).ledger_url

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """The ledger, closed when the block ends. Raises LedgerError when it cannot be opened."""
        with Ledger(self._url) as ledger:
            yield ledger

    @property
    def read_model(self) -> Path:
        """Where `teams.duckdb` is published."""
        return self.store.root / "teams.duckdb"

    def refresh(self) -> RefreshReport:
        """Bring `teams.duckdb` up to date. A file that somebody holds open is left alone, and the report says so."""
        return refresh(self._url, stored_artefacts(self.store.root), self.read_model)
