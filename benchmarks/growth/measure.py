"""What one more query or sample costs where there are so many already. Each size is a process: its memory is its own.

`python -m benchmarks.growth.measure --part ledger --size 10000`; the figures are the last line of stdout, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.growth.entries import ask
from benchmarks.llm import big_ledger
from benchmarks.llm.big_ledger import made_up_id
from benchmarks.policy.process import Cost, cost_of
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import DatasetSources, select_examples
from teams_dagster.dataset.export import FILES, export_dataset
from teams_dagster.dataset.sample import Sample
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.integrity import verify_storage
from teams_dagster.store.kept_ledger import require_kept_ledger
from teams_dagster.store.read_model import refresh

MORE = 1_000
"""Queries that are asked where there are many."""

WORDS = 4_000
"""Words that made-up texts draw from: no two are near duplicates."""

SAMPLES_A_SEED = 8


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
            "opening": lambda: require_kept_ledger(url, folder),
            "every row against its hash": lambda: verify_storage(url, folder, ()),
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(folder), taken)


def _ask_more(url: str) -> None:
    with Ledger(url) as opened:
        asyncio.run(ask(opened, [f"one more, {number}" for number in range(MORE)]))


def dataset(size: int) -> Grown:
    """A dataset of `size` samples: curated, split, separated, exported."""
    with TemporaryDirectory() as place:
        samples = list(_samples(size))
        sides: dict[str, Split] = {sample.seed_id: _side(sample.seed_id) for sample in samples}
        sources = DatasetSources(TRAINED_ARM, (), sides, (), ())
        splits: dict[Split, tuple[object, ...]] = {}

        def select() -> None:
            splits.update(select_examples(samples, sources, {})[0])

        steps: dict[str, Callable[[], object]] = {
            "curated, split and separated": select,
            "exported": lambda: export_dataset(Path(place, FILES), splits),  # pyright: ignore[reportArgumentType]
        }
        taken = {name: cost_of(work) for name, work in steps.items()}
        return Grown(size, _size_mb(Path(place)), taken)


def _side(seed_id: str) -> Split:
    share = int(seed_id[:8], 16) / 16**8
    return "held_out" if share > 0.9 else "validation" if share > 0.8 else "train"


def _samples(size: int) -> Iterator[Sample]:
    chance = random.Random(0)
    words = [hashlib.blake2b(str(number).encode(), digest_size=4).hexdigest() for number in range(WORDS)]
    for number in range(size):
        seed_id = made_up_id("seed", number // SAMPLES_A_SEED)
        told = Instruction(f"Explain {' '.join(chance.choices(words, k=30))}.")
        answer = f"It is {' '.join(chance.choices(words, k=80))}."
        named = made_up_id("sample", number)
        yield Sample(
            named,
            made_up_id("t", number),
            made_up_id("e", number),
            1,
            "2026-11-02",
            seed_id,
            told,
            answer,
            made_up_id("r", number),
            True,
            None,
        )


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


PARTS = {"ledger": ledger, "dataset": dataset}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    parser.add_argument("--size", type=int, required=True)
    asked = parser.parse_args()
    print(json.dumps(asdict(PARTS[asked.part](asked.size))), flush=True)


if __name__ == "__main__":
    main()
