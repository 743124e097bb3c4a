"""From measurements to the rows of a table. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.llm.measurement import Figures, Measurement
from benchmarks.llm.scenarios import FIXED_CALLS, LATENCIES_S, PARALLEL, RESUME_PARALLEL

Better = Literal["higher", "lower", "nearer zero"]


@dataclass(frozen=True)
class Spread:
    """Several repeats of one figure."""

    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class Row:
    """One figure of every tool."""

    name: str
    better: Better
    cells: Mapping[str, Spread | str]
    """By tool; a text where there is no figure."""
    decimals: int = 2
    unit: str = ""
    ceiling: float | None = None
    """Of a row of calls/s: what calls in parallel over latency allow, whoever asks."""


def spread(values: Sequence[float]) -> Spread:
    """Median and range. Raises ValueError for none."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def per_call(many: float, few: float, calls: int, few_calls: int) -> float:
    """What one call costs beyond the fixed part, from a run with many calls and one with few."""
    return (many - few) / (calls - few_calls)


def advantage(ours: float, rival: float, better: Better) -> float | None:
    """How many times better ours is; below 1 it is worse. None where a ratio says nothing."""
    good, bad = (ours, rival) if better == "higher" else (abs(rival), abs(ours))
    if good == bad:
        return 1.0
    return good / bad if bad > 0 and good > 0 else None


def is_worse(ours: float, rival: float, better: Better) -> bool:
    """Whether the rival's figure is the better one."""
    if better == "higher":
        return ours < rival
    return ours > rival if better == "lower" else abs(ours) > abs(rival)


def best_rival(row: Row, rivals: Iterable[str]) -> tuple[str, Spread] | None:
    """The rival with the best figure in `row`."""
    found = [(name, cell) for name in rivals if isinstance(cell := row.cells.get(name), Spread)]
    if not found:
        return None
    if row.better == "higher":
        return max(found, key=lambda each: each[1].median)
    return min(found, key=lambda each: abs(each[1].median))


class _Runs:
    """The measurements, and what each tool's fixed part cost."""

    def __init__(self, measurements: Sequence[Measurement], tools: Sequence[str]) -> None:
        self._measurements = measurements
        self._tools = tools
        self._fixed: dict[tuple[str, float], list[Measurement]] = {
            (tool, latency_s): self._of("fixed", tool, FIXED_CALLS, latency_s)
            for tool in tools
            for latency_s in LATENCIES_S
        }

    def row(
        self,
        name: str,
        better: Better,
        scenario: str,
        value: Callable[[Measurement], float | None],
        parallel: int | None = None,
        latency_s: float = LATENCIES_S[0],
        *,
        decimals: int = 2,
        unit: str = "",
        ceiling: float | None = None,
    ) -> Row:
        """The row of `value` over the runs of a scenario."""
        cells = {tool: _cell(self._of(scenario, tool, parallel, latency_s), value) for tool in self._tools}
        return Row(name, better, cells, decimals, unit, ceiling)

    def rate_beyond_fixed(self, m: Measurement) -> float | None:
        """Calls/s without what a run costs before its first call and after its last."""
        fixed = _median(self._fixed[m.tool, m.latency_s], _seconds)
        if fixed is None:
            return None
        seconds = per_call(_seconds(m), fixed, m.calls, FIXED_CALLS)
        return 1 / seconds if seconds > 0 else None

    def cpu_ms(self, m: Measurement) -> float | None:
        """Milliseconds of processor time per call, likewise."""
        fixed = _median(self._fixed[m.tool, m.latency_s], lambda few: _figures(few).cpu_s)
        return None if fixed is None else 1_000 * per_call(_figures(m).cpu_s, fixed, m.calls, FIXED_CALLS)

    def size(self, scenario: str) -> str:
        """How many calls the scenario makes."""
        return f"{max((m.calls for m in self._measurements if m.scenario == scenario), default=0):,}"

    def _of(self, scenario: str, tool: str, parallel: int | None, latency_s: float) -> list[Measurement]:
        return [
            m
            for m in self._measurements
            if (m.scenario, m.tool, m.latency_s) == (scenario, tool, latency_s) and parallel in (None, m.parallel)
        ]


def rows(measurements: Sequence[Measurement], tools: Sequence[str]) -> list[Row]:
    """The table."""
    runs = _Runs(measurements, tools)
    return [*_rate_rows(runs), *_cost_rows(runs), *_rerun_rows(runs), *_fault_rows(runs)]


def _rate_rows(runs: _Runs) -> Iterator[Row]:
    for latency_s in LATENCIES_S:
        for part, value in (("whole run", _rate), ("beyond the fixed part", runs.rate_beyond_fixed)):
            for parallel in PARALLEL:
                name = f"Calls/s at {parallel} parallel, latency {1_000 * latency_s:g} ms, {part}"
                ceiling = parallel / latency_s
                yield runs.row(name, "higher", "throughput", value, parallel, latency_s, decimals=0, ceiling=ceiling)


def _cost_rows(runs: _Runs) -> Iterator[Row]:
    for latency_s in LATENCIES_S:
        for parallel in PARALLEL:
            name = f"Client CPU per call at {parallel} parallel, latency {1_000 * latency_s:g} ms: ms"
            yield runs.row(name, "lower", "throughput", runs.cpu_ms, parallel, latency_s)
    most = "Most in flight at 200 parallel"
    yield runs.row(most, "higher", "throughput", lambda m: m.server.most_in_flight, 200, decimals=0)
    yield runs.row(f"Fixed cost: {FIXED_CALLS} calls, s", "lower", "fixed", _seconds)
    yield runs.row("Start of interpreter and imports, s", "lower", "fixed", lambda m: _figures(m).startup_s)
    largest = "Largest process at 200 parallel, MB"
    yield runs.row(largest, "lower", "throughput", lambda m: _figures(m).max_rss_mb, 200, decimals=0)
    tokens = "No faults: tokens recorded, error"
    yield runs.row(tokens, "nearer zero", "throughput", _token_error, 50, unit="%")


def _rerun_rows(runs: _Runs) -> Iterator[Row]:
    for scenario in ("warm", "warm large"):
        name = f"Warm rerun of {runs.size(scenario)} answers"
        yield runs.row(f"{name}, s", "lower", scenario, _seconds)
        yield runs.row(f"{name}: queries sent", "lower", scenario, lambda m: m.server.requests, decimals=0)
    name = f"Killed half way through {runs.size('killed')} calls, run again"
    beyond = f"wasted beyond the {RESUME_PARALLEL} in flight"
    yield runs.row(f"{name}: wasted calls", "lower", "killed", _wasted, decimals=0)
    yield runs.row(f"{name}: {beyond}", "lower", "killed", _wasted_beyond, decimals=0)
    yield runs.row(f"{name}: wasted and not reported", "lower", "killed", _unreported, decimals=0)
    yield runs.row(f"{name}: seconds of the second run", "lower", "killed", _seconds)
    yield runs.row(f"{name}: rows kept", "higher", "killed", _kept, decimals=1, unit="%")
    yield runs.row(f"{name}: tokens recorded, error", "nearer zero", "killed", _token_error, unit="%")


def _fault_rows(runs: _Runs) -> Iterator[Row]:
    few, many, refused = "1% HTTP 500/429", "10% HTTP 500/429", "1% of questions refused"
    yield runs.row(f"{few}: answerable rows kept", "higher", "faults 1%", _kept, decimals=1, unit="%")
    yield runs.row(f"{many}: answerable rows kept", "higher", "faults 10%", _kept, decimals=1, unit="%")
    yield runs.row(f"{many}: seconds", "lower", "faults 10%", _seconds)
    yield runs.row(f"{many}: tokens recorded, error", "nearer zero", "faults 10%", _token_error, unit="%")
    yield runs.row(f"{refused}: answerable rows kept", "higher", "refused 1%", _kept, decimals=1, unit="%")
    yield runs.row(f"{refused}: wasted calls", "lower", "refused 1%", _wasted, decimals=0)


def losses(table: Iterable[Row], ours: str, rivals: Sequence[str]) -> list[tuple[Row, str, Spread, Spread]]:
    """Every figure in which a rival is better: the row, who, ours, theirs."""
    found = []
    for row in table:
        mine = row.cells.get(ours)
        for rival in rivals:
            theirs = row.cells.get(rival)
            if (
                isinstance(mine, Spread)
                and isinstance(theirs, Spread)
                and is_worse(mine.median, theirs.median, row.better)
            ):
                found.append((row, rival, mine, theirs))
    return found


def _cell(runs: Sequence[Measurement], value: Callable[[Measurement], float | None]) -> Spread | str:
    if not runs:
        return ""
    troubles = [run.trouble for run in runs if run.trouble is not None]
    if troubles:
        return troubles[0] if len(troubles) == len(runs) else f"{len(troubles)} of {len(runs)} {troubles[0]}"
    values = [found for run in runs if (found := value(run)) is not None]
    return spread(values) if values else "-"


def _median(runs: Sequence[Measurement], value: Callable[[Measurement], float]) -> float | None:
    """Of the runs that have figures; None where none has."""
    values = [value(run) for run in runs if run.figures is not None]
    return statistics.median(values) if values else None


def _figures(measurement: Measurement) -> Figures:
    if measurement.figures is None:
        raise ValueError(f"{measurement.tool}, {measurement.scenario}: {measurement.trouble}")
    return measurement.figures


def _rate(m: Measurement) -> float:
    return m.calls / _seconds(m)


def _seconds(m: Measurement) -> float:
    return _figures(m).seconds


def _wasted(m: Measurement) -> float:
    """Calls beyond one for each question."""
    return m.server.requests - m.calls


def _wasted_beyond(m: Measurement) -> float:
    """More wasted calls than can have been in flight when the run was killed."""
    return max(0, _wasted(m) - m.parallel)


def _unreported(m: Measurement) -> float:
    """Wasted calls that the tool does not say are lost."""
    return max(0, _wasted(m) - _figures(m).lost)


def _kept(m: Measurement) -> float:
    """Percent of the questions that the server would answer."""
    return 100 * _figures(m).kept / (m.calls - m.server.refused)


def _token_error(m: Measurement) -> float | None:
    """Percent by which the recorded tokens differ from those the server reported."""
    recorded, reported = _figures(m).tokens, m.server.prompt_tokens + m.server.completion_tokens
    return None if recorded is None else 100 * (recorded - reported) / reported
