"""Ledger writes a second: several processes ask on one ledger at once, each answer durable before it counts.

`python -m benchmarks.growth.writers --url URL --writers 4`; the figures are the last line of stdout, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import time
from dataclasses import asdict, dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier

from benchmarks.growth.entries import ask
from benchmarks.policy.process import load
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.writer import Ledger

ROWS_A_QUERY = 5
"""A question, an attempt, a result, an answer, a use."""

COMMITS_A_QUERY = 2
"""An intent and an answer, each waited for."""

STARTED_WITHIN_S = 600.0
"""A writer that died before the start is no reason to wait for ever."""


@dataclass(frozen=True)
class Written:
    """What the writers did together."""

    writers: int
    queries: int
    seconds: float
    cpu_s: float
    """Of the writers, added up; of a database's own processes, nothing."""
    load: float
    """Of the machine afterwards."""

    @property
    def queries_a_second(self) -> float:
        return self.queries / self.seconds

    @property
    def cpu_ms_a_query(self) -> float:
        return 1_000 * self.cpu_s / self.queries


def measure(url: str, writers: int, queries: int) -> Written:
    """`writers` processes ask `queries` in all, 64 at once each."""
    with Ledger(url):
        pass  # the tables are there
    processes = multiprocessing.get_context("spawn")
    start, cpu_s = processes.Barrier(writers + 1), processes.Value("d", 0.0)
    share = queries // writers
    working = [processes.Process(target=_write, args=(url, number, share, start, cpu_s)) for number in range(writers)]
    for process in working:
        process.start()
    start.wait(STARTED_WITHIN_S)
    began = time.perf_counter()
    for process in working:
        process.join()
    seconds = time.perf_counter() - began
    with Ledger(url) as ledger:
        written = total_cost(ledger).ok
    if written != share * writers:
        raise RuntimeError(f"{written:,} of {share * writers:,} queries are on the ledger: a writer failed")
    return Written(writers, written, seconds, cpu_s.value, load())


def _write(url: str, number: int, queries: int, start: Barrier, cpu_s: Synchronized[float]) -> None:
    with Ledger(url) as ledger:
        start.wait(STARTED_WITHIN_S)
        began = time.process_time()
        asyncio.run(ask(ledger, [f"writer {number}, query {query}" for query in range(queries)]))
    with cpu_s.get_lock():
        cpu_s.value += time.process_time() - began


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--writers", type=int, required=True)
    parser.add_argument("--queries", type=int, default=8_000)
    asked = parser.parse_args()
    print(json.dumps(asdict(measure(asked.url, asked.writers, asked.queries))), flush=True)


if __name__ == "__main__":
    main()
