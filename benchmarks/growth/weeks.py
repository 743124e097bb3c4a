"""What a later generation costs beside the first ones: `python -m benchmarks.growth.weeks --weeks 20 --rows 2000`.

One store is given a generation a week. Each is played and answered where those before it are, and replayed from a
ledger that holds all of them, in one process: machine and memory are the same for every week.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.growth.generations import say_nothing
from benchmarks.growth.kept_queries import make_ledger
from benchmarks.growth.played_store import QuickModel, answer, begin_store, play, weeks
from teams_dagster.dataset.stored import answered_generations
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay_generation import replay_generation
from teams_dagster.store.integrity import Verification

COMPARED = 4
"""The first and the last so many weeks are compared: the very first loads what it needs, and is left out."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2_000, help="transitions of a week")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        for what, seconds in measure(Path(folder), asked.weeks, asked.rows).items():
            print(line(what, seconds), flush=True)


def measure(folder: Path, count: int, rows: int) -> dict[str, list[float]]:
    """Seconds of the processor, by week, that playing, answering and replaying took."""
    store, queries = begin_store(folder, rows), folder / "queries"
    partitions = weeks(count * rows, rows)
    taken: dict[str, list[float]] = {"played": [], "answered": [], "replayed": []}
    with queries.open("ab") as kept:
        model = QuickModel(kept)
        for week in partitions:
            taken["played"].append(_seconds(lambda week=week: play(store, week, model)))
            taken["answered"].append(_seconds(lambda week=week: answer(store, week, model)))
    make_ledger(queries, folder)
    with Ledger(sqlite_url(folder / "ledger.sqlite")) as ledger:
        for _, generated, responses in answered_generations(store):
            found = Verification()
            again = replay_generation(store, ledger, generated, responses, found, progress=say_nothing)
            taken["replayed"].append(_seconds(lambda again=again: asyncio.run(again)))
            if found.differing or found.not_verified or not found.verified:
                raise RuntimeError(f"the played store is at fault: {found.differences[:1]} {found.not_verified}")
    return taken


def line(what: str, seconds: Sequence[float]) -> str:
    """The first weeks, the last ones, and the trend over all with its standard error."""
    first, last = mean(seconds[1 : 1 + COMPARED]), mean(seconds[-COMPARED:])
    (slope, _), covariance = np.polyfit(np.arange(1, len(seconds)), seconds[1:], 1, cov=True)
    error = covariance[0, 0] ** 0.5
    return (
        f"{what}: weeks 2 to {1 + COMPARED} {first:.2f} s each, the last {COMPARED} of {len(seconds)} {last:.2f} s,"
        f" {last / first:.2f} times; trend {slope / first:+.2%} a week, standard error {error / first:.2%}"
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
