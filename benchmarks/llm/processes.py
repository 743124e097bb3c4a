"""What several processes bring that ask side by side (TEAMS_WORKERS): `python -m benchmarks.llm.processes`.

Answers are asked of a server of its own, each durable on one ledger. Figures are of the last two thirds, when all
processes have started. Where calls wait for the server (200 ms each), every process has as many under way as the one
alone; where they wait for the client (50 ms each), all together have as many.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.llm.machine import describe
from benchmarks.llm.server import Behaviour
from benchmarks.llm.server_process import ServerProcess
from resources.language_models.elsewhere import ProcessAsking, open_elsewhere
from resources.language_models.probing import NOT_HELD
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.answers import Answering, answer_worker
from teams_dagster.dataset.sample import Accepted
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD, in_order
from teams_dagster.llm.workers import WorkerPool
from teams_dagster.settings import load_settings

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).parent / "PROCESSES.md"
WAITING, BUSY = 16, 200
"""Calls under way: of each process where they wait for the server, of all together where they wait for the client."""

WAITING_S, BUSY_S = 0.2, 0.05
"""How long the server takes for one."""


@dataclass(frozen=True)
class Measured:
    """One run."""

    rate: float
    """Calls a second, of the last two thirds."""
    client_ms: float
    """Processor time of all processes but the server, a call, of the same."""
    server_ms: float


def measure(server: ServerProcess, processes: int, in_flight: int, calls: int, latency_s: float) -> Measured:
    """`calls` answers by so many processes with so many calls under way together."""
    server.reset(Behaviour(latency_s=latency_s))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= _environment(server, Path(folder), in_flight)
        rate, client_ms = loop.run(_rate(processes, in_flight, calls))
    return Measured(rate, client_ms, 1_000 * server.counters().cpu_s / calls)


async def _rate(processes: int, in_flight: int, calls: int) -> tuple[float, float]:
    settings = load_settings()
    context = CallContext("run", "benchmark")
    asking = ProcessAsking(settings, {Role.EXPERT: NOT_HELD}, context, Budgets(), processes)
    job = (answer_worker, Answering({"seed": 0}, "week"), asking)
    width = AHEAD * in_flight
    opened = (
        answer_worker(job[1], asking.engine())
        if processes == 1
        else WorkerPool(open_elsewhere, job, processes, -(-width // processes), print)
    )
    items = (
        Accepted(f"t{number}", "e", 0, "seed", Instruction(f"Explain in two sentences what makes tide {number} rise."))
        for number in range(calls)
    )
    done, since, spent = 0, 0.0, 0.0
    async with opened as worker, aclosing(in_order(worker.call, items, width)) as samples:
        async for sample in samples:
            assert sample.accepted, sample.reason
            done += 1
            if done == calls // 3:
                since, spent = time.perf_counter(), _client_seconds()
        counted = done - calls // 3
        return counted / (time.perf_counter() - since), 1_000 * (_client_seconds() - spent) / counted


def _environment(server: ServerProcess, folder: Path, in_flight: int) -> Mapping[str, str]:
    return {
        "TEAMS_DATA_DIR": str(folder),
        "TEAMS_MODEL": "mock",
        "TEAMS_BASE_URL": server.base_url,
        "TEAMS_MAX_IN_FLIGHT": str(in_flight),
    }


def _client_seconds() -> float:
    """Processor time of this process and its workers so far."""
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            command = status.with_name("cmdline").read_text(encoding="utf-8")
            ours = int(fields[1]) == os.getpid() and "teams_dagster.llm.workers" in command
            if ours or int(status.parent.name) == os.getpid():
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def page(waiting: Mapping[int, Measured], busy: Mapping[int, Measured], calls: int) -> str:
    """The table, with what two processors allow."""
    machine = describe(ROOT)
    lines = [
        "# Several processes on one ledger",
        "",
        f"`python -m benchmarks.llm.processes` on {machine['CPU']}, load {machine['load before the run']}; {calls:,}"
        " answers a run, fewer of it where calls wait for the server.",
        "",
        "| | calls under way | calls/s | times one process | client's processor, ms a call |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for title, runs, together in (("waiting for the server", waiting, False), ("waiting for the client", busy, True)):
        for count, run in runs.items():
            under_way = BUSY if together else WAITING * count
            ratio = run.rate / runs[1].rate
            name = f"{count} process{'es' if count > 1 else ''}, {title}"
            lines.append(f"| {name} | {under_way} | {run.rate:,.0f} | {ratio:.2f} | {run.client_ms:.2f} |")
    one = busy[1]
    allowed = 2 * one.client_ms / (one.client_ms + one.server_ms)
    reached = busy[2].rate / one.rate
    lines += [
        "",
        f"One process takes {one.client_ms:.2f} ms of processor a call and the server {one.server_ms:.2f}, so two cores"
        f" allow {allowed:.2f} times one process's rate; two processes reach {reached:.2f}, which is"
        f" {reached / allowed:.0%} of that.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=6_000)
    calls = parser.parse_args().calls
    with ServerProcess(ROOT) as server:
        waiting = {count: measure(server, count, WAITING * count, calls * count // 8, WAITING_S) for count in (1, 2, 4)}
        busy = {count: measure(server, count, BUSY, calls, BUSY_S) for count in (1, 2)}
    PAGE.write_text(page(waiting, busy, calls), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
