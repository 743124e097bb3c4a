"""What every tool's script shares: its arguments, the clock around the call, one JSON line at the end.

Standard library alone: it runs in each tool's own virtual environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")

API_KEY = "sk-benchmark"


@dataclass(frozen=True)
class Question:
    """One call: an instruction, and the words that ask for its rewrite."""

    instruction: str
    system: str
    user: str


@dataclass(frozen=True)
class Job:
    """A workload."""

    base_url: str
    questions: list[Question]
    parallel: int
    state: Path
    """Where the tool keeps its cache, artefacts or ledger."""
    again: bool
    """Whether `state` holds an earlier run of the same work, finished or killed."""
    resumable: bool
    """Whether the tool shall be able to go on after a kill, if that is a setting."""


@dataclass(frozen=True)
class Account:
    """What the tool itself says about its work."""

    kept: int
    """Rows with an answer."""
    tokens: int | None
    """Tokens it recorded; None when it records none."""
    lost: int = 0
    """Calls that it reports as sent with an unknown fate."""


def measure(work: Callable[[Job], Made], account: Callable[[Job, Made], Account]) -> None:
    """Time `work` alone, let `account` look at what it made, print the figures as the last line of stdout."""
    arguments = _arguments()
    started = time.time()
    job = _job(arguments)
    cpu = _cpu_s()
    began = time.perf_counter()
    made = work(job)
    seconds = time.perf_counter() - began
    cpu_s = _cpu_s() - cpu
    # On Linux ru_maxrss is in KiB; of the children it is the largest one's.
    rss_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    said = account(job, made)
    figures = {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "max_rss_mb": rss_kib / 1024,
        "startup_s": started - arguments.spawned_at,
        "kept": said.kept,
        "tokens": said.tokens,
        "lost": said.lost,
    }
    sys.stdout.flush()
    print("\n" + json.dumps(figures), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--questions", type=Path, required=True, help="JSON lines of instruction, system, user")
    parser.add_argument("--calls", type=int, required=True, help="how many of the questions to ask")
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--resumable", action="store_true")
    parser.add_argument("--spawned-at", type=float, default=time.time(), help="seconds since the epoch")
    return parser.parse_args()


def _job(arguments: argparse.Namespace) -> Job:
    with arguments.questions.open(encoding="utf-8") as lines:
        questions = [Question(**json.loads(line)) for line, _ in zip(lines, range(arguments.calls), strict=False)]
    if len(questions) != arguments.calls:
        raise SystemExit(f"{arguments.questions} holds {len(questions)} questions, not {arguments.calls}")
    return Job(arguments.base_url, questions, arguments.parallel, arguments.state, arguments.again, arguments.resumable)


def _cpu_s() -> float:
    """Processor seconds of this process and of its children that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
