"""`python -m benchmarks.training.run`: measure everything and write RESULTS.md and its rows, RESULTS.jsonl.

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

import torch

from benchmarks.llm import environments, machine
from benchmarks.policy.process import ROOT, in_new_process
from benchmarks.training.measure import OURS, PLAIN, PLAIN_RANDOM, Measured
from benchmarks.training.report import Circumstances, Row, page
from benchmarks.training.student import SHAPES, make_student

SCRATCH = ROOT / "benchmarks" / ".runs" / "training"
PACKAGES = ("teams-dagster", "torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes")
PEAK_FLOPS = {"NVIDIA H100 80GB HBM3": 989e12, "NVIDIA H200": 989e12, "NVIDIA A100-SXM4-80GB": 312e12}
"""Dense bfloat16, from the vendor's data sheets."""
THREADS = 1
"""Of both sides on a CPU."""
GIVES_BACK = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}
"""glibc's allocator keeps freed memory in pieces, more or less by luck. With this it gives every larger piece back at
once, which is slow: resident memory is then the memory in use, as a GPU's allocator tells it."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="to see whether all works; the figures mean nothing")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="small", help="of the student; `7b` needs a GPU")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    asked = parser.parse_args()
    measure(asked.output, tiny=asked.tiny, shape=asked.shape)


def measure(output: Path, *, tiny: bool = False, shape: str = "small", scratch: Path = SCRATCH) -> None:
    """Write the page to `output` and the rows beside it."""
    began = time.monotonic()
    described = machine.describe(ROOT)
    shutil.rmtree(scratch, ignore_errors=True)
    parameters = make_student(scratch / "base", "tiny" if tiny else shape)
    examples, batch_size, repeats = (16, 4, 1) if tiny else (96, 8, 3)
    kinds, sides = (("lora",), (OURS, PLAIN)) if tiny else (("lora", "qlora"), (OURS, PLAIN, PLAIN_RANDOM))
    rows: list[Row] = []
    timed = [(repeat, kind, side, False) for repeat in range(repeats) for kind in kinds for side in sides]
    weighed = [] if tiny or torch.cuda.is_available() else [(0, kind, side, True) for kind in kinds for side in sides]
    with output.with_suffix(".jsonl").open("w", encoding="utf-8") as kept:
        for repeat, kind, side, gives_back in [*timed, *weighed]:
            options = {"side": side, "kind": kind, "base": scratch / "base", "threads": THREADS}
            sizes = {"examples": examples, "batch_size": batch_size}
            environment = GIVES_BACK if gives_back else None
            made = in_new_process(
                Measured, "measure", package="benchmarks.training", environment=environment, **options, **sizes
            )
            rows.append(Row(kind, side, repeat, made, gives_back))
            kept.write(json.dumps(asdict(rows[-1])) + "\n")
            kept.flush()
            _say(f"{len(rows)} of {len(timed) + len(weighed)}: {kind}, {side}, {time.monotonic() - began:.0f} s")
    shutil.rmtree(scratch, ignore_errors=True)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    circumstances = Circumstances(
        date=datetime.now(UTC).date().isoformat(),
        minutes=(time.monotonic() - began) / 60,
        machine=described,
        versions=environments.versions(Path(sys.executable), PACKAGES),
        parameters=parameters,
        examples=examples,
        batch_size=batch_size,
        threads=THREADS,
        device=device,
        trial=tiny,
        peak_flops=PEAK_FLOPS.get(device),
    )
    output.write_text(page(rows, circumstances), encoding="utf-8")
    _say(f"wrote {output} after {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
