"""`python -m benchmarks.policy.run`: measure everything and write RESULTS.md and its rows, RESULTS.jsonl.

Scratch files are under benchmarks/.runs, which git ignores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.llm import environments, machine
from benchmarks.policy.process import ROOT
from benchmarks.policy.report import Circumstances, page
from benchmarks.policy.scenarios import Row, count, everything, full_sizes, tiny_sizes

SCRATCH = ROOT / "benchmarks" / ".runs" / "policy"

PACKAGES = ("teams-dagster", "torch", "numpy", "stable-baselines3", "sb3-contrib", "openai", "sqlalchemy")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="to see whether all works; the figures mean nothing")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    asked = parser.parse_args()
    measure(asked.output, tiny=asked.tiny)


def measure(output: Path, *, tiny: bool = False, scratch: Path = SCRATCH) -> None:
    """Write the page to `output` and the rows beside it."""
    began = time.monotonic()
    described = machine.describe(ROOT)
    sizes = tiny_sizes() if tiny else full_sizes()
    shutil.rmtree(scratch, ignore_errors=True)
    rows: list[Row] = []
    with output.with_suffix(".jsonl").open("w", encoding="utf-8") as kept:
        for row in everything(sizes, scratch):
            rows.append(row)
            kept.write(json.dumps(asdict(row)) + "\n")
            kept.flush()
            _say(
                f"{len(rows)}/{count(sizes)} after {time.monotonic() - began:.0f} s: {row.scenario} {row.update or ''}"
            )
    shutil.rmtree(scratch, ignore_errors=True)
    circumstances = Circumstances(
        date=datetime.now(UTC).date().isoformat(),
        minutes=(time.monotonic() - began) / 60,
        machine=described,
        versions=environments.versions(Path(sys.executable), PACKAGES),
        trial=tiny,
    )
    output.write_text(page(rows, circumstances), encoding="utf-8")
    _say(f"wrote {output} after {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
