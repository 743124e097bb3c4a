"""What checks read: the current artefacts, a batch of rows at a time."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from assets.dataset import FILES
from assets.manifests import generated_for
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore

ROWS_AT_ONCE = 1_000

NOTHING_KEPT = "no generation has a kept sample"


def generations_of(store: ArtefactStore, asset_key: str) -> list[Artefact]:
    """The current output of every generation, in order. Raises ArtefactMissing when there is none."""
    found = [store.current(asset_key, partition) for partition in store.partitions(asset_key)]
    if not found:
        raise ArtefactMissing(f"{asset_key} has no output in {store.root}: materialise it first")
    return found


def answered_generations(store: ArtefactStore) -> Iterator[tuple[str, Artefact, Artefact]]:
    """Partition, instructions and answers of every answered generation. Raises ArtefactMissing."""
    for responses in generations_of(store, "expert_responses"):
        yield responses.manifest["partition_key"], generated_for(store, responses), responses


def examples_in(dataset: Artefact) -> Iterator[Example]:
    """The examples of an `instruction_dataset` artefact, every side of the split."""
    for split in SPLITS:
        for batch in pq.ParquetFile(dataset.path(f"{FILES}/{split}.parquet")).iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                instruction = Instruction(row["instruction"], row["input"])
                yield Example(row["sample_id"], row["seed_id"], instruction, row["output"])
