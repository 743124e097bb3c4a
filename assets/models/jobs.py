"""What is done with a trained model on purpose, never by itself: merge it into its base, send it to the hub."""

import tempfile
from pathlib import Path

import dagster as dg

from assets.models.config import MergeConfig, PushConfig
from resources.ledger import LedgerConnection
from teams_dagster.evaluation.release import write_adapter, write_merged
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.merging import push_folder

MERGED = "merged"
"""The folder of the data folder that merged models go to."""


@dg.op(description="Add an adapter into its base's weights: one model that needs neither.")
def merge_into_base(
    context: dg.OpExecutionContext,
    config: MergeConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> None:
    """Raises FileExistsError where the folder holds something."""
    adapter = store.current(f"{config.model}_model")
    folder = Path(config.to) if config.to else store.root / MERGED / f"{config.model}-{adapter.data_version[:16]}"
    with ledger.open() as opened:
        write_merged(adapter, folder, store, opened)
    context.log.info(f"{config.model} {adapter.data_version} is merged into its base: {folder}")
    context.log_event(
        dg.AssetObservation(
            f"{config.model}_model", description="merged", metadata={"merged": dg.MetadataValue.path(str(folder))}
        )
    )


@dg.op(description="Send a trained model with its card to the Hugging Face Hub.")
def send_to_hub(
    context: dg.OpExecutionContext, config: PushConfig, store: dg.ResourceParam[ArtefactStore], ledger: LedgerConnection
) -> None:
    """Needs HF_TOKEN. Raises CannotPush with what the hub said."""
    adapter = store.current(f"{config.model}_model")
    write = write_merged if config.merged else write_adapter
    with tempfile.TemporaryDirectory(prefix="teams-push-") as scratch:
        folder = Path(scratch) / MODEL
        with ledger.open() as opened:
            write(adapter, folder, store, opened)
        address = push_folder(folder, config.repo_id, private=config.private)
    context.log.info(f"{config.model} {adapter.data_version} is at {address}")
    context.log_event(
        dg.AssetObservation(
            f"{config.model}_model", description="pushed", metadata={"hub": dg.MetadataValue.url(address)}
        )
    )


@dg.job(executor_def=dg.in_process_executor, description="Merge a trained adapter into its base. Never by itself.")
def merge_adapter() -> None:
    """One folder that any tool loads."""
    merge_into_base()


@dg.job(
    executor_def=dg.in_process_executor,
    description="Send a trained model to the Hugging Face Hub: needs HF_TOKEN and a repository. Never by itself.",
)
def push_to_hub() -> None:
    """Adapter or merged model, with its card."""
    send_to_hub()
