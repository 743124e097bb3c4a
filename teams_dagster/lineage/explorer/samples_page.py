"""The page of samples beside the report: which of them it holds, and what it says about their verification."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.lineage.explorer.columns import ExplorerError
from teams_dagster.lineage.explorer.content import MOST_SAMPLES
from teams_dagster.lineage.explorer.page import ExplorerFacts, write_explorer
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import ResponseFacts
from teams_dagster.store.parquet import read_rows

EXPLORER = "explorer.html"


def write_samples_page(store: ArtefactStore, read_model: Path, chain_head: str | None) -> str:
    """Write `explorer.html` beside the report, from the read model; returns what became of it, for people.

    The latest generations are on it, as many as a page holds. `chain_head` is the hash that seals what is stored.
    """
    facts = store.current("sample_lineage").read_facts(LineageFacts)
    about = ExplorerFacts(
        data_folder=store.root.resolve().name,
        rows_verified=facts.rows_verified,
        rows_not_verified=facts.not_verified,
        chain_head=chain_head,
        sealed_at=None,
    )
    left_out, sample_ids = _choice(store)
    try:
        page = write_explorer(read_model, store.root / EXPLORER, about=about, sample_ids=sample_ids)
    except ExplorerError as error:
        return f"not written: {error}"
    without = (
        f"; without the generations {', '.join(left_out)}, which `teams lineage --html` can show" if left_out else ""
    )
    return f"{page.samples:,} samples, {page.file_bytes / 1e6:.1f} MB{without}"


def _choice(store: ArtefactStore) -> tuple[list[str], list[str] | None]:
    """The generations that do not fit, and the ids of the samples that do; None for all."""
    room = MOST_SAMPLES
    chosen: list[Artefact] = []
    left_out: list[Artefact] = []
    for partition in reversed(store.partitions("expert_responses")):
        responses = store.current("expert_responses", partition)
        room -= responses.read_facts(ResponseFacts).samples
        (chosen if room >= 0 else left_out).append(responses)
    if not left_out:
        return [], None
    ids = [name for responses in chosen for name in _sample_ids(responses.path("samples.parquet"))]
    return [responses.manifest["partition_key"] for responses in reversed(left_out)], ids


def _sample_ids(path: Path) -> list[str]:
    return [row["sample_id"] for row in read_rows(path, ["sample_id"])]
