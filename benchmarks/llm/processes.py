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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.llm.machine import describe
from benchmarks.llm.server import Behaviour
from benchmarks.llm.server_process import ServerProcess
from resources.language_models.elsewhere import ProcessAsking, open_elsewhere
from resources.language_models.probing import NOT_HELD
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.answers import Answering, answer_worker
from teams_dagster.dataset.sample import Accepted, Sample
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


Runs = Sequence[Mapping[int, Measured]]
"""For each repeat, by how many processes."""


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

    async with opened as worker:

        async def counted(item: Accepted) -> Sample:
            nonlocal done, since, spent
            sample = await worker.call(item)
            done += 1  # as it is answered: results in order come in bursts
            if done == calls // 3:
                since, spent = time.perf_counter(), _client_seconds()
            return sample

        async with aclosing(in_order(counted, items, width)) as samples:
            async for sample in samples:
                assert sample.accepted, sample.reason
        left = calls - calls // 3
        return left / (time.perf_counter() - since), 1_000 * (_client_seconds() - spent) / left


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


def page(waiting: Runs, busy: Runs, calls: int) -> str:
    """The table, with what two processors allow; medians, with the lowest and highest of the repeats."""
    machine = describe(ROOT)
    lines = [
        "# Several processes on one ledger",
        "",
        f"`python -m benchmarks.llm.processes` on {machine['CPU']}, load {machine['load before the run']}; {calls:,}"
        f" answers a run, fewer of it where calls wait for the server; medians of {len(busy)} repeats, lowest to"
        " highest.",
        "",
        "| | calls under way | calls/s | at most | times one process | client's processor, ms a call |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *_lines(waiting, "waiting for the server", lambda count: WAITING * count, WAITING_S),
        *_lines(busy, "waiting for the client", lambda count: BUSY, BUSY_S),
    ]
    client, server = (median(getattr(run[1], name) for run in busy) for name in ("client_ms", "server_ms"))
    allowed = 2 * client / (client + server)
    reached = [run[2].rate / run[1].rate / allowed for run in busy]
    lines += [
        "",
        f"One process takes {client:.2f} ms of processor a call and the server {server:.2f}, so two cores allow"
        f" {allowed:.2f} times one process's rate. Two processes reach {_spread(reached, '.0%')} of that.",
        "",
    ]
    return "\n".join(lines)


def _lines(runs: Runs, title: str, under_way: Callable[[int], int], latency_s: float) -> Iterator[str]:
    for count in runs[0]:
        rates, ratios = [run[count].rate for run in runs], [run[count].rate / run[1].rate for run in runs]
        name = f"{count} process{'es' if count > 1 else ''}, {title}"
        most = under_way(count) / latency_s
        client = _spread([run[count].client_ms for run in runs], ".2f")
        figures = f"{_spread(rates, ',.0f')} | {most:,.0f} | {_spread(ratios, '.2f')} | {client}"
        yield f"| {name} | {under_way(count)} | {figures} |"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=6_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    waiting: list[dict[int, Measured]] = []
    busy: list[dict[int, Measured]] = []
    with ServerProcess(ROOT) as server:
        for _ in range(asked.repeats):
            few = {count: asked.calls * count // 8 for count in (1, 2, 4)}
            waiting.append({n: measure(server, n, WAITING * n, calls, WAITING_S) for n, calls in few.items()})
            busy.append({n: measure(server, n, BUSY, asked.calls, BUSY_S) for n in (1, 2)})
    PAGE.write_text(page(waiting, busy, asked.calls), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
