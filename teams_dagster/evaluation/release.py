"""A trained model as it leaves the project: the adapter or the merged model, with a card that has its scores."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from teams_dagster.evaluation.stored import read_evaluation_scores
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts
from teams_dagster.store.hash_chain import head
from teams_dagster.student.adapter_config import MODEL, REPORT, AdapterConfig
from teams_dagster.student.model_card import ModelCard, Scored
from teams_dagster.student.stored import card_of, student_path


def write_adapter(adapter: Artefact, folder: Path, store: ArtefactStore, ledger: Ledger) -> None:
    """Copy an adapter into the new `folder`, with its current card. Raises FileExistsError where there is one."""
    shutil.copytree(adapter.path(MODEL), folder)
    current_card(adapter, store, ledger).write(folder)


def write_merged(adapter: Artefact, folder: Path, store: ArtefactStore, ledger: Ledger) -> None:
    """Write an adapter merged into the base it was trained on, with its current card, into `folder`.

    Raises FileExistsError where the folder holds something, ArtefactMissing where the base is gone.
    """
    from teams_dagster.student.merging import merge_adapter

    base = store.of_version("base_model", adapter.manifest["inputs"]["base_model"])
    merge_adapter(student_path(base), adapter.path(MODEL), folder)
    replace(current_card(adapter, store, ledger), merged=True).write(folder)


def current_card(adapter: Artefact, store: ArtefactStore, ledger: Ledger) -> ModelCard:
    """An adapter's card with what is known by now: its scores, and the head of the chain that seals all of it."""
    inputs = adapter.manifest["inputs"]
    card = card_of(
        store.of_version("base_model", inputs["base_model"]),
        store.of_version("instruction_dataset", inputs["instruction_dataset"]),
        adapter.data_version,
        AdapterConfig.model_validate(adapter.read_facts(AdapterFacts).settings),
        json.loads(adapter.path(REPORT).read_text(encoding="utf-8")),
    )
    with ledger.engine.connect() as connection:
        sealed = head(connection)
    return replace(card, scores=_scores(adapter, store), chain_head=sealed or None)


def _scores(adapter: Artefact, store: ArtefactStore) -> tuple[Scored, ...]:
    if not store.exists("evaluation_scores"):
        return ()
    found = read_evaluation_scores(store.current("evaluation_scores"))
    mine = [score for score in found if score.model_version == adapter.data_version]
    return tuple(Scored(score.task, score.metric, score.value, score.stderr) for score in mine)
