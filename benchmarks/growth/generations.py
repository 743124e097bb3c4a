"""What generations cost beside their queries: keeping them, replaying them, adding them up and reporting them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.growth.made_up_store import writing
from teams_dagster.core.files import write_atomically
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import build_dataset, dataset_sources
from teams_dagster.dataset.stored import answered_generations
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.traits import roles_shared
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.completeness import generation_faults
from teams_dagster.lineage.explorer.samples_page import write_samples_page
from teams_dagster.lineage.kept_replays import KeptReplay, sealed_manifests
from teams_dagster.lineage.replays import replay_all, replays_of
from teams_dagster.report.costs import expert_facts, read_account, write_account
from teams_dagster.report.gather import gather
from teams_dagster.report.page import render_report
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.hash_chain import seal
from teams_dagster.store.read_model import refresh


def seal_outputs(store: ArtefactStore) -> None:
    """Add every output and every row of the ledger to the chain, as each step does when it ends."""
    with _ledger(store) as ledger:
        seal(ledger.engine, sealed_manifests(store, (output for output, _ in store.everything())).items())


def replay(store: ArtefactStore, earlier: Mapping[str, KeptReplay]) -> Mapping[str, KeptReplay]:
    """Every generation, from the ledger, but those that stand by `earlier`.

    Raises RuntimeError where a row does not come out as it was stored.
    """
    with _ledger(store) as ledger:
        replays = replays_of(store, [responses for _, _, responses in answered_generations(store)])
        made = replay_all(store, ledger, replays, earlier, progress=say_nothing)
    if made.found.differing or made.found.not_verified or not made.found.verified:
        raise RuntimeError(f"the played store is at fault: {made.found.differences[:1]} {made.found.not_verified}")
    return made.kept


def complete(store: ArtefactStore) -> None:
    """Every chain leads to its seed, by requests that the ledger has. Raises RuntimeError for one that does not."""
    with _ledger(store) as ledger:
        for _, _, responses in answered_generations(store):
            for fault in generation_faults(store, ledger, responses):
                raise RuntimeError(f"the played store is at fault: {fault}")


def make_dataset(store: ArtefactStore) -> None:
    """The dataset of every generation."""
    sources = dataset_sources(store, TRAINED_ARM, ())
    with _ledger(store) as ledger, writing(store, "instruction_dataset", None, {}) as draft:
        draft.finish(*build_dataset(draft.folder, "run-1", sources, store, ledger, log=say_nothing))


def account(store: ArtefactStore) -> None:
    """What every query cost, by what it was for, and every pair."""
    with _ledger(store) as ledger, writing(store, "query_costs", None, {}) as draft:
        draft.finish(*write_account(draft.folder, read_account(ledger, store), expert_facts(store)))


def report(store: ArtefactStore) -> None:
    """The page of the report."""
    with _ledger(store) as ledger:
        shared = roles_shared(ledger.engine)
    write_atomically(store.root / "report.html", render_report(gather(store, shared)))


def read_model(store: ArtefactStore) -> None:
    """`teams.duckdb` of the ledger and of every output, from nothing."""
    refresh(_url(store), stored_artefacts(store.root), store.root / "teams.duckdb")


def samples_page(store: ArtefactStore) -> None:
    """The page of samples, of as many as it holds."""
    facts = LineageFacts(samples=1, rows_verified=1, not_verified={})
    with writing(store, "sample_lineage", None, {}) as draft:
        draft.finish("0" * 32, facts)
    write_samples_page(store, store.root / "teams.duckdb", None)


def say_nothing(_: str) -> None:
    """Nobody listens."""


def _url(store: ArtefactStore) -> str:
    return sqlite_url(store.root / "ledger.sqlite")


def _ledger(store: ArtefactStore) -> Ledger:
    return Ledger(_url(store))
