"""`python -m benchmarks.growth.run`: measure every part at every size, and write RESULTS.md and RESULTS.jsonl.

`--part` measures some of them; what was measured of the others before stays.

Ledgers on PostgreSQL need its server (Debian package postgresql); without it that column is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from benchmarks.growth.measure import OF_A_PLAYED_STORE, PARTS, Grown
from benchmarks.growth.report import page
from benchmarks.growth.writers import Written
from benchmarks.llm import machine
from benchmarks.policy.process import ROOT, in_new_process
from teams_dagster.ledger.database import sqlite_url
from tests.support import postgres

SIZES = (1_000, 10_000, 100_000, 1_000_000)

WRITERS = (1, 4, 16)

WRITERS_PART = "writers"
"""The part that is no growth: several writers on one ledger."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--part", choices=[*PARTS, WRITERS_PART], nargs="+", default=[*PARTS, WRITERS_PART])
    parser.add_argument("--queries", type=int, default=8_000, help="that the writers ask together")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    asked = parser.parse_args()
    measure(asked.output, asked.sizes, asked.queries, asked.part)


def measure(output: Path, sizes: list[int], queries: int, parts: Collection[str]) -> None:
    """Measure `parts` again; write the page of all that is known to `output` and the rows beside it."""
    if any(part in parts for part in OF_A_PLAYED_STORE):
        parts = {*parts, *OF_A_PLAYED_STORE}
    began, described = time.monotonic(), machine.describe(ROOT)
    rows_file = output.with_suffix(".jsonl")
    kept = [row for row in _rows_in(rows_file) if row.get("part", WRITERS_PART) not in parts]
    grown: dict[str, list[Grown]] = {part: [] for part in PARTS}
    written: dict[str, list[Written]] = {}
    with rows_file.open("w", encoding="utf-8") as rows:
        for row in kept:
            rows.write(json.dumps(row) + "\n")
            values = {name: value for name, value in row.items() if name not in ("part", "ledger")}
            if "part" in row:
                grown[row["part"]].append(TypeAdapter(Grown).validate_python(values))
            else:
                written.setdefault(row["ledger"], []).append(Written(**values))
        for part, made in _grown_of(parts, sizes):
            grown[part].append(made)
            rows.write(json.dumps({"part": part, **asdict(made)}) + "\n")
            rows.flush()
            _say(f"{part}, {made.size:,}", began)
        for name, url, writers in _ledgers() if WRITERS_PART in parts else ():
            made = in_new_process(
                Written, "writers", package="benchmarks.growth", url=url, writers=writers, queries=queries
            )
            written.setdefault(name, []).append(made)
            rows.write(json.dumps({"ledger": name, **asdict(made)}) + "\n")
            _say(f"{writers} writers on {name}: {made.queries_a_second:,.0f} queries a second", began)
    minutes = (time.monotonic() - began) / 60
    grown = {part: sorted(found, key=lambda one: one.size) for part, found in grown.items() if found}
    output.write_text(page(grown, written, described, f"{datetime.now(UTC):%Y-%m-%d}", minutes), encoding="utf-8")


def _grown_of(parts: Collection[str], sizes: list[int]) -> Iterator[tuple[str, Grown]]:
    """Each part at each size. Those of a played store are measured on one, which is played for all of them."""
    for size in sizes:
        for part in (part for part in PARTS if part in parts and part not in OF_A_PLAYED_STORE):
            with TemporaryDirectory() as folder:
                yield part, _in_folder(part, size, folder)
    for size in sizes if OF_A_PLAYED_STORE[0] in parts else ():
        with TemporaryDirectory() as folder:
            for part in OF_A_PLAYED_STORE:
                yield part, _in_folder(part, size, folder)


def _in_folder(part: str, size: int, folder: str) -> Grown:
    return in_new_process(Grown, "measure", package="benchmarks.growth", part=part, size=size, folder=folder)


def _rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


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
