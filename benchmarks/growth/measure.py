"""What one more query or sample costs where there are so many already. Each size is a process: its memory is its own.

`python -m benchmarks.growth.measure --part ledger --size 10000`; the figures are the last line of stdout, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.growth import generations
from benchmarks.growth.entries import ask
from benchmarks.growth.made_up_store import make_store
from benchmarks.growth.played_store import play_store
from benchmarks.llm import big_ledger
from benchmarks.policy.process import Cost, cost_of
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.curation import DroppedSample, signatures_of
from teams_dagster.dataset.quality.chains import Fault, StoredGeneration, chain_faults
from teams_dagster.dataset.quality.duplicates import find_repetition
from teams_dagster.dataset.sample import ExamplesOnDisk, Sample
from teams_dagster.dataset.separation import shared_with_training
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.dataset.steering import UNTRAINED_VERSIONS
from teams_dagster.dataset.stored import answered_generations, examples_in, read_samples, stored_side
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.report.dataset_results import MadeGeneration, dataset_results
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.integrity import verify_storage
from teams_dagster.store.kept_ledger import require_kept_ledger
from teams_dagster.store.parquet import distinct_values
from teams_dagster.store.read_model import refresh

MORE = 1_000
"""Queries that are asked where there are many."""


@dataclass(frozen=True)
class Grown:
    """What the steps of a part took."""

    size: int
    disk_mb: float
    steps: dict[str, Cost]


def ledger(size: int) -> Grown:
    """A ledger of `size` queries: asked more, opened, sealed and read into DuckDB, compared with its hashes."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        url = sqlite_url(folder / "ledger.sqlite")
        big_ledger.build(folder, size)
        (folder / "assets").mkdir()
        steps = {
            "read model from nothing": lambda: refresh(url, [], folder / "teams.duckdb"),
            f"{MORE:,} more queries": lambda: _ask_more(url),
            "read model of these": lambda: refresh(url, [], folder / "teams.duckdb"),
            f"{MORE:,} of these asked again": lambda: _ask_more(url),
            "the account by role and operation": lambda: _account(url),
            "opening": lambda: require_kept_ledger(url, folder),
            "every row against its hash": lambda: verify_storage(url, folder, ()),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(folder), taken)


def _ask_more(url: str) -> None:
    with Ledger(url) as opened:
        asyncio.run(ask(opened, [f"one more, {number}" for number in range(MORE)]))


def _account(url: str) -> None:
    with Ledger(url) as opened:
        costs_by(opened, ("role", "operation"))


def dataset(size: int) -> Grown:
    """A dataset of `size` samples, made from a store as its asset makes it; its checks, and its part of the report.

    The ledger is empty, so that nothing costs anything: what a look-up there takes is measured with the ledger.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        store = make_store(folder, size)
        steps = {
            "signatures of near duplicates": lambda: signatures_of(_answered(store), generations.say_nothing),
            "curated, split, exported, with lineage and card": lambda: generations.make_dataset(store),
            "check of the sides": lambda: _same_on_two_sides(store.current(DATASET)),
            "check of repetition": lambda: find_repetition(examples_in(store.current(DATASET)), _samples(store)),
            "check of lineage": lambda: _chains(store),
            "figures of the report": lambda: _report(store),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(folder), taken)


DATASET = "instruction_dataset"


def _answered(store: ArtefactStore) -> list[Artefact]:
    return [responses for _, _, responses in answered_generations(store)]


def _samples(store: ArtefactStore) -> Iterator[Sample]:
    return (sample for responses in _answered(store) for sample in read_samples(responses))


def _same_on_two_sides(made: Artefact) -> list[DroppedSample]:
    return list(shared_with_training({split: ExamplesOnDisk(stored_side(made, split)) for split in SPLITS}))


def _chains(store: ArtefactStore) -> list[Fault]:
    """The joins of the check that every chain is complete; what the ledger knows of their requests is left out."""
    found = list[Fault]()
    for _, generated, responses in answered_generations(store):
        samples = responses.path("samples.parquet")
        stored = StoredGeneration(
            transitions=generated.path("transitions.parquet"),
            samples=samples,
            answers=samples,
            seeds=store.current("seed_instructions").path("seeds.parquet"),
            policies=UNTRAINED_VERSIONS,
            prompts=distinct_values(generated.path("prompt_templates.parquet"), ["prompt_version"]),
        )
        found += chain_faults(stored, set)
    if found:
        raise RuntimeError(f"the made-up store is at fault: {found[0]}")
    return found


def _report(store: ArtefactStore) -> None:
    partitions = store.partitions(TRAINED_ARM.responses)
    dataset_results(store, [MadeGeneration(store, partition) for partition in partitions], {})


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def generation(size: int) -> Grown:
    """Generations of together `size` transitions: what it takes to play and keep them, and their answers.

    Every query is answered at once and kept nowhere: what it costs to keep is measured with the ledger.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        steps = {
            "seeds, episodes and their tables": lambda: generations.play_all(folder, size),
            "answers and their table": lambda: generations.answer_all(ArtefactStore(place)),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(folder), taken)


def lineage(size: int) -> Grown:
    """Generations of together `size` transitions, replayed from the ledger, and each chain followed to its seed."""
    with TemporaryDirectory() as place:
        store = play_store(Path(place), size)
        steps = {
            "every generation replayed": lambda: generations.replay(store),
            "check that every chain is complete": lambda: generations.complete(store),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(store.root), taken)


def report(size: int) -> Grown:
    """The account and the report of generations of together `size` transitions, with `teams.duckdb` beside them."""
    with TemporaryDirectory() as place:
        store = play_store(Path(place), size)
        generations.make_dataset(store)
        steps = {
            "the account": lambda: generations.account(store),
            "the report": lambda: generations.report(store),
            "`teams.duckdb` of all of it from nothing": lambda: generations.read_model(store),
            "the page of samples": lambda: generations.samples_page(store),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(store.root), taken)


PARTS = {"ledger": ledger, "generation": generation, "dataset": dataset, "lineage": lineage, "report": report}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    parser.add_argument("--size", type=int, required=True)
    asked = parser.parse_args()
    print(json.dumps(asdict(PARTS[asked.part](asked.size))), flush=True)


if __name__ == "__main__":
    main()
