"""What is done with a trained model on purpose, never by itself: merge it into its base, send it to the hub."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from assets.models import MODEL, REPORT
from resources.ledger import LedgerConnection
from teams_dagster.evaluation.stored import read_evaluation_scores
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.hash_chain import head
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.model_card import ModelCard, Scored
from teams_dagster.student.stored import card_of, student_path

Trained = Literal["lora", "qlora"]

MERGED = "merged"


class MergeConfig(dg.Config):
    """Which adapter, and where to."""

    model: Trained = Field(default="lora", description="Whose current adapter.")
    to: str = Field(
        default="", description="A new or empty folder; left out: merged/<model>-<version> in the data folder."
    )


class PushConfig(dg.Config):
    """What goes where."""

    model: Trained = Field(default="lora", description="Whose current adapter.")
    repo_id: str = Field(description="The hub's repository, `name/model`; made where it is missing.")
    merged: bool = Field(default=False, description="The adapter merged into its base, instead of the adapter alone.")
    private: bool = Field(default=True, description="Whether a repository that is made now is private.")


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
    _merge(adapter, folder, store, ledger)
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
    import shutil
    import tempfile

    from teams_dagster.student.hub import push_folder

    adapter = store.current(f"{config.model}_model")
    with tempfile.TemporaryDirectory(prefix="teams-push-") as scratch:
        folder = Path(scratch) / MODEL
        if config.merged:
            _merge(adapter, folder, store, ledger)
        else:
            shutil.copytree(adapter.path(MODEL), folder)
            current_card(adapter, store, ledger).write(folder)
        address = push_folder(folder, config.repo_id, private=config.private)
    context.log.info(f"{config.model} {adapter.data_version} is at {address}")
    context.log_event(
        dg.AssetObservation(
            f"{config.model}_model", description="pushed", metadata={"hub": dg.MetadataValue.url(address)}
        )
    )


def _merge(adapter: Artefact, folder: Path, store: ArtefactStore, ledger: LedgerConnection) -> None:
    from teams_dagster.student.merging import merge_adapter

    base = store.of_version("base_model", adapter.manifest["inputs"]["base_model"])
    merge_adapter(student_path(base), adapter.path(MODEL), folder)
    replace(current_card(adapter, store, ledger), merged=True).write(folder)


def current_card(adapter: Artefact, store: ArtefactStore, ledger: LedgerConnection) -> ModelCard:
    """An adapter's card with what is known by now: its scores, and the head of the chain that seals all of it."""
    inputs = adapter.manifest["inputs"]
    card = card_of(
        store.of_version("base_model", inputs["base_model"]),
        store.of_version("instruction_dataset", inputs["instruction_dataset"]),
        adapter.data_version,
        AdapterConfig.model_validate(adapter.facts["settings"]),
        json.loads(adapter.path(REPORT).read_text(encoding="utf-8")),
    )
    with ledger.open() as opened, opened.engine.connect() as connection:
        sealed = head(connection)
    return replace(card, scores=_scores(adapter, store), chain_head=sealed or None)


def _scores(adapter: Artefact, store: ArtefactStore) -> tuple[Scored, ...]:
    if not store.exists("evaluation_scores"):
        return ()
    found = read_evaluation_scores(store.current("evaluation_scores"))
    mine = [score for score in found if score.model_version == adapter.data_version]
    return tuple(Scored(score.task, score.metric, score.value, score.stderr) for score in mine)


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
