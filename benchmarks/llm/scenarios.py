"""What is measured: every tool does the same work, in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.llm.measurement import Bench, Measurement, Tool, Work
from benchmarks.llm.server import Behaviour

PARALLEL = (25, 50, 200)

LATENCIES_S = (Behaviour().latency_s, 0.01)
"""Of the server, where calls a second are measured. With the first, few calls in parallel wait for the server most of
the time, whoever asks; with the second it is the client that they wait for."""

FIXED_CALLS = 50
"""Few enough that a run is its fixed cost."""

RESUME_PARALLEL = 50

FAULTS = {
    "faults 1%": Behaviour(fault_share=0.01),
    "faults 10%": Behaviour(fault_share=0.10),
    "refused 1%": Behaviour(refused_share=0.01),
}

OURS = "teams"
FLOOR = "bare_aiohttp"
SLOW = "distilabel_tool"


class Sizes:
    """How many calls each scenario makes. `scale` shrinks them all, to see whether everything works."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def throughput(self, tool: str, parallel: int) -> int:
        """Enough for some seconds; fewer for the one tool that needs half a minute for them."""
        if tool == SLOW:
            return self._scaled(300 if parallel < 200 else 600)
        return self._scaled(2_000 if parallel < 200 else 3_000)

    def warm(self) -> int:
        """Answers of the rerun that every tool makes."""
        return self._scaled(1_000)

    def warm_large(self) -> int:
        """Answers of the rerun that we make alone."""
        return self._scaled(10_000)

    def killed(self) -> int:
        """Calls of a run that is killed half way."""
        return self._scaled(500)

    def faults(self) -> int:
        """Calls of a run that meets faults."""
        return self._scaled(300)

    def most(self) -> int:
        """Different questions needed."""
        return max(self.warm_large(), self.throughput(OURS, 200))

    def _scaled(self, calls: int) -> int:
        return max(2 * FIXED_CALLS, int(calls * self._scale))


def everything(bench: Bench, tools: Sequence[Tool], sizes: Sizes, repeats: int) -> Iterator[Measurement]:
    """Run it all, one measurement at a time."""
    for repeat in range(repeats):
        turns = [*tools[repeat % len(tools) :], *tools[: repeat % len(tools)]]
        users = [tool for tool in turns if tool.name != FLOOR]
        for latency_s in LATENCIES_S:
            behaviour = Behaviour(latency_s=latency_s)
            for tool in turns:
                yield bench.run("fixed", tool, Work(FIXED_CALLS, FIXED_CALLS, behaviour), repeat)
            for parallel in PARALLEL:
                for tool in turns:
                    work = Work(sizes.throughput(tool.name, parallel), parallel, behaviour)
                    yield bench.run("throughput", tool, work, repeat)
        for tool in users:
            yield from _warm(bench, "warm", tool, Work(sizes.warm(), 50, resumable=True), repeat)
            if tool.name == OURS:
                yield from _warm(bench, "warm large", tool, Work(sizes.warm_large(), 200, resumable=True), repeat)
        for tool in users:
            yield bench.run_killed("killed", tool, Work(sizes.killed(), RESUME_PARALLEL, resumable=True), repeat)
    for name, behaviour in FAULTS.items():  # the same faults each time: nothing to repeat
        for tool in (tool for tool in tools if tool.name != FLOOR):
            yield bench.run(name, tool, Work(sizes.faults(), RESUME_PARALLEL, behaviour), 0)


def _warm(bench: Bench, scenario: str, tool: Tool, work: Work, repeat: int) -> Iterator[Measurement]:
    """The rerun of finished work. The first time the work is done before it, which is not measured."""
    if repeat == 0:
        filled = bench.run(scenario, tool, work, repeat)
        if filled.trouble is not None:
            yield filled  # a rerun of what is not there would be another measurement
            return
    yield bench.run(scenario, tool, work, repeat, again=True)


def count(tools: Sequence[Tool], repeats: int) -> int:
    """How many measurements there will be."""
    floor = sum(tool.name == FLOOR for tool in tools)
    users = len(tools) - floor
    warm_large = sum(tool.name == OURS for tool in tools)
    speed = len(LATENCIES_S) * (1 + len(PARALLEL)) * len(tools)
    return repeats * (speed + 2 * users + warm_large) + len(FAULTS) * users
