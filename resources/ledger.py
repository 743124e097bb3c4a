"""The connection to the ledger: the database that takes the writes, and the DuckDB that people read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import dagster as dg

from teams_dagster.ledger.database import naming_ledger
from teams_dagster.ledger.writer import Ledger
from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.comparing import TableDifference, compare_read_model
from teams_dagster.store.integrity import RecordedHead, Verification, verify_storage
from teams_dagster.store.kept_ledger import find_kept_ledger, require_kept_rows
from teams_dagster.store.publishing import read_whole
from teams_dagster.store.read_model import RefreshReport, refresh

T = TypeVar("T")

CHAIN_ASSET = dg.AssetKey("sample_lineage")
"""The asset whose observations record the chain's heads."""

CHAIN_HEAD, CHAIN_LEDGER = "chain_head", "ledger"
"""Their metadata."""

CHAIN_OUTPUT = "manifest_sha256"
"""The metadata of its materialisations that names the manifest of its output."""

_AT_ONCE = 1_000


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
    def open(self, *, whole: bool = True) -> Iterator[Ledger]:
        """The ledger, closed when the block ends. Raises LedgerError when it cannot be opened, or lost what it had.

        With `whole` False a ledger that lost rows is opened, for checks that name what is missing.
        """
        url = self._url
        there = find_kept_ledger(url, self.store.root)
        with naming_ledger(url):
            opened = Ledger(url)
        with opened as ledger:
            if there and whole:
                require_kept_rows(ledger.engine, url, self.store.root)
            yield ledger

    @property
    def read_model(self) -> Path:
        """Where `teams.duckdb` is published."""
        return self.store.root / "teams.duckdb"

    def refresh(self, instance: dg.DagsterInstance) -> RefreshReport:
        """Bring `teams.duckdb` up to date, seal what is stored, and record the chain's head in the event log.

        A file that somebody holds open is left alone, and the report says so.
        """
        report = refresh(self._url, stored_artefacts(self.store.root), self.read_model)
        if report.links:
            record_head(instance, report)
        return report

    def read(self, instance: dg.DagsterInstance, read: Callable[[Path], T]) -> T:
        """What `read` gives of `teams.duckdb`, which is made again where it is found to be damaged.

        Raises NotNow where it cannot be made again at the moment, and what `read` raises.
        """
        return read_whole(self.read_model, lambda: read(self.read_model), lambda: self.refresh(instance))

    def compare_read_model(self, instance: dg.DagsterInstance) -> list[TableDifference]:
        """What differs in `teams.duckdb` from one made anew. Raises SourcesMoved; NotNow while it is being written."""
        return self.read(instance, lambda path: compare_read_model(self._url, stored_artefacts(self.store.root), path))

    def verify(self, instance: dg.DagsterInstance, *, progress: Callable[[str], None] = lambda _: None) -> Verification:
        """Compare everything that is stored with its hashes, the chain, and the heads in the event log."""
        return verify_storage(self._url, self.store.root, recorded_heads(instance), progress=progress)


def record_head(instance: dg.DagsterInstance, report: RefreshReport) -> None:
    """Write the chain's head down where a change of the data folder does not reach."""
    metadata = {CHAIN_HEAD: report.head, CHAIN_LEDGER: report.ledger_id, "links_added": report.links}
    instance.report_runless_asset_event(
        dg.AssetObservation(CHAIN_ASSET, description="What is stored was sealed.", metadata=metadata)
    )


def recorded_outputs(instance: dg.DagsterInstance) -> set[str]:
    """The manifests of the outputs of `sample_lineage`, by SHA-256, as its latest materialisations in the event log
    name them: a change of the data folder does not reach there."""
    found = instance.fetch_materializations(CHAIN_ASSET, limit=_AT_ONCE).records
    made = (record.asset_materialization for record in found)
    return {str(each.metadata[CHAIN_OUTPUT].value) for each in made if each and CHAIN_OUTPUT in each.metadata}


def recorded_heads(instance: dg.DagsterInstance) -> Iterator[RecordedHead]:
    """Every head that the event log holds, the latest first."""
    cursor = None
    while True:
        found = instance.fetch_observations(CHAIN_ASSET, limit=_AT_ONCE, cursor=cursor)
        for record in found.records:
            metadata = record.asset_observation.metadata if record.asset_observation else {}
            if CHAIN_HEAD in metadata:
                head, ledger = (str(metadata[name].value) for name in (CHAIN_HEAD, CHAIN_LEDGER))
                when = datetime.fromtimestamp(record.timestamp, UTC)
                yield RecordedHead(head, ledger, f"Dagster's event log of {when:%Y-%m-%d %H:%M:%S}")
        if not found.has_more:
            return
        cursor = found.cursor
