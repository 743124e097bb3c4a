"""`python -m benchmarks.growth.run`: measure every part at every size, and write RESULTS.md and RESULTS.jsonl.

Ledgers on PostgreSQL need its server (Debian package postgresql); without it that column is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.growth.measure import PARTS, Grown
from benchmarks.growth.report import page
from benchmarks.growth.writers import Written
from benchmarks.llm import machine
from benchmarks.policy.process import ROOT, in_new_process
from teams_dagster.ledger.database import sqlite_url
from tests.support import postgres

SIZES = (1_000, 10_000, 100_000, 1_000_000)

WRITERS = (1, 4, 16)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="+", default=list(PARTS), help="what is measured again")
    parser.add_argument("--queries", type=int, default=8_000, help="that the writers ask together")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    asked = parser.parse_args()
    measure(asked.output, asked.sizes, asked.queries)


def measure(output: Path, sizes: list[int], queries: int) -> None:
    """Write the page to `output` and the rows beside it."""
    began, described = time.monotonic(), machine.describe(ROOT)
    grown: dict[str, list[Grown]] = {part: [] for part in PARTS}
    written: dict[str, list[Written]] = {}
    with output.with_suffix(".jsonl").open("w", encoding="utf-8") as rows:
        for part, found in grown.items():
            for size in sizes:
                found.append(in_new_process(Grown, "measure", package="benchmarks.growth", part=part, size=size))
                rows.write(json.dumps({"part": part, **asdict(found[-1])}) + "\n")
                rows.flush()
                _say(f"{part}, {size:,}", began)
        for name, url, writers in _ledgers():
            made = in_new_process(
                Written, "writers", package="benchmarks.growth", url=url, writers=writers, queries=queries
            )
            written.setdefault(name, []).append(made)
            rows.write(json.dumps({"ledger": name, **asdict(made)}) + "\n")
            _say(f"{writers} writers on {name}: {made.queries_a_second:,.0f} queries a second", began)
    minutes = (time.monotonic() - began) / 60
    output.write_text(page(grown, written, described, f"{datetime.now(UTC):%Y-%m-%d}", minutes), encoding="utf-8")


def _ledgers() -> Iterator[tuple[str, str, int]]:
    """New ledgers: what holds each, its address, and how many write to it."""
    with TemporaryDirectory() as folder:
        for writers in WRITERS:
            yield "SQLite", sqlite_url(Path(folder, f"{writers}.sqlite")), writers
    if postgres.programs() is None:
        return
    with postgres.cluster() as address:
        for writers in WRITERS:
            yield "PostgreSQL", postgres.new_database(address), writers


def _say(told: str, began: float) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {told}", flush=True)


if __name__ == "__main__":
    main()
