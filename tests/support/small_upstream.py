"""A data folder with what an adapter is trained from: a small student, and a dataset of a few examples."""

from __future__ import annotations

import shutil
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.store.artefact_store import ArtefactStore

EXAMPLES = [
    Example(f"sample-{i}", f"seed-{i}", Instruction(f"Which colour is box {i}?"), f"Box {i} is <b>red</b>.")
    for i in range(16)
]
CARD_OF_DATASET = DataCard(
    "A dataset",
    "the dataset",
    "apache-2.0",
    "Written by the embedded rules.",
    (),
    (),
    4,
    {},
    (),
    {"train": 16, "validation": 4, "held_out": 1},
    {},
    {},
    (),
    32,
    1_500_000_000,
    (),
    (),
    ("Small.",),
)


def small_upstream(store: ArtefactStore, student: Path) -> None:
    """Put both into the store; `student` is the folder of a model, taken for the embedded one."""
    about = {"inputs": {}, "made_at": "2026-11-02T00:00:00"}
    with store.writing("base_model", "one", about=about) as draft:
        shutil.copytree(student, draft.folder / "model")
        draft.finish("the base", {"student": "embedded", "embedded": True})
    with store.writing("instruction_dataset", "one", about=about) as draft:
        sides: dict[Split, list[Example]] = {"train": EXAMPLES, "validation": EXAMPLES[:4], "held_out": EXAMPLES[:1]}
        export_dataset(draft.folder / "files", sides)
        (draft.folder / CARD).write_text(CARD_OF_DATASET.to_json())
        (draft.folder / LINEAGE).write_text("chains")
        draft.finish("the dataset", {})
