"""What one more query or sample costs where there are so many already. Each size is a process: its memory is its own.

`python -m benchmarks.growth.measure --part ledger --size 10000 --folder FOLDER`; the figures are the last line of
stdout, as JSON, and each step's are on stderr as soon as it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.growth import generations
from benchmarks.growth.entries import ask
from benchmarks.growth.kept_queries import make_ledger
from benchmarks.growth.made_up_store import make_store
from benchmarks.growth.played_store import answer_all, play_all
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
from teams_dagster.lineage.kept_replays import KeptReplay
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


def ledger(size: int, folder: Path) -> Grown:
    """A ledger of `size` queries: asked more, opened, sealed and read into DuckDB, compared with its hashes."""
    url = sqlite_url(folder / "ledger.sqlite")
    _apart(big_ledger.build, folder, size)
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
    return _grown(size, steps, folder)


def _ask_more(url: str) -> None:
    with Ledger(url) as opened:
        asyncio.run(ask(opened, [f"one more, {number}" for number in range(MORE)]))


def _account(url: str) -> None:
    with Ledger(url) as opened:
        costs_by(opened, ("role", "operation"))


def dataset(size: int, folder: Path) -> Grown:
    """A dataset of `size` samples, made from a store as its asset makes it; its checks, and its part of the report.

    The ledger is empty, so that nothing costs anything: what a look-up there takes is measured with the ledger.
    """
    _apart(make_store, folder, size)
    return dataset_of(size, folder)


def dataset_of(size: int, folder: Path) -> Grown:
    """The same of the store that is in `folder`."""
    store = ArtefactStore(str(folder))
    steps = {
        "signatures of near duplicates": lambda: signatures_of(_answered(store), generations.say_nothing),
        "curated, split, exported, with lineage and card": lambda: generations.make_dataset(store),
        "check of the sides": lambda: _same_on_two_sides(store.current(DATASET)),
        "check of repetition": lambda: find_repetition(examples_in(store.current(DATASET)), _samples(store)),
        "check of lineage": lambda: _chains(store),
        "figures of the report": lambda: _report(store),
    }
    return _grown(size, steps, folder)


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


def generation(size: int, folder: Path) -> Grown:
    """Generations of together `size` transitions: what it takes to play and keep them, and their answers.

    Every query is answered at once, and the ledger is made afterwards: what it costs there is measured with the ledger.
    """
    queries = folder / "queries"
    steps = {
        "seeds, episodes and their tables": lambda: play_all(folder, size, queries),
        "answers and their table": lambda: answer_all(ArtefactStore(str(folder)), queries),
    }
    made = _grown(size, steps, folder)
    _apart(make_ledger, queries, folder)
    queries.unlink()
    return made


def _apart(make: Callable[..., object], *given: object) -> None:
    """Make what is measured in a process of its own: memory that it leaves free here would hide what a step adds."""
    made = multiprocessing.get_context("spawn").Process(target=make, args=given)
    made.start()
    made.join()
    if made.exitcode:
        raise RuntimeError(f"{make.__name__} ended with status {made.exitcode}")


def lineage(size: int, folder: Path) -> Grown:
    """The played generations, replayed from the ledger, and each chain followed to its seed."""
    store, kept = ArtefactStore(str(folder)), dict[str, KeptReplay]()
    generations.seal_outputs(store)
    steps = {
        "check that every chain is complete": lambda: generations.complete(store),
        "every generation replayed": lambda: kept.update(generations.replay(store, {})),
        "the same later, where all of it stands": lambda: generations.replay(store, kept),
    }
    return _grown(size, steps, folder)


def report(size: int, folder: Path) -> Grown:
    """The dataset, the account and the report of the played generations, with `teams.duckdb` beside them."""
    store = ArtefactStore(str(folder))
    steps = {
        "their dataset": lambda: generations.make_dataset(store),
        "the account": lambda: generations.account(store),
        "the report": lambda: generations.report(store),
        "`teams.duckdb` of all of it from nothing": lambda: generations.read_model(store),
        "the page of samples": lambda: generations.samples_page(store),
    }
    return _grown(size, steps, folder)


def _grown(size: int, steps: Mapping[str, Callable[[], object]], folder: Path) -> Grown:
    """What each step takes, said as it is done."""
    taken = dict[str, Cost]()
    for name, work in steps.items():
        taken[name] = cost_of(work)
        print(f"{size:,}: {name}: {taken[name]}", file=sys.stderr, flush=True)
    return Grown(size, _size_mb(folder), taken)


PARTS = {"ledger": ledger, "generation": generation, "dataset": dataset, "lineage": lineage, "report": report}

OF_A_PLAYED_STORE = ("generation", "lineage", "report")
"""Parts of one store: the first plays it, in the folder where the others look for it."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="empty, but for lineage and report: of generation")
    asked = parser.parse_args()
    print(json.dumps(asdict(PARTS[asked.part](asked.size, asked.folder))), flush=True)


if __name__ == "__main__":
    main()
