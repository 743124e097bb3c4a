"""The connection to the artefact store."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import ArtefactStore


class ArtefactStoreResource(dg.ConfigurableResource[ArtefactStore]):
    """Gives assets and checks the store below `data_dir`: parameters of type `dg.ResourceParam[ArtefactStore]`.

    The ledger's address can hold a password: it stays in the environment and never reaches Dagster's storage.
    """

    root: str
    data_dir: str = Field(description="The folder that holds everything the project makes.")
    shared_url: str | None = Field(default=None, description="Where several machines share the outputs.")

    def create_resource(self, context: dg.InitResourceContext) -> ArtefactStore:
        """The store, with what other machines made. Raises SharedArtefactsFailed."""
        ledger_url = load_settings(Path(self.root)).ledger_url
        store = ArtefactStore(data_dir=self.data_dir, shared_url=self.shared_url, ledger_url=ledger_url)
        store.synchronise()
        return store
