"""From measurements to the rows of a table. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.llm.measurement import Figures, Measurement
from benchmarks.llm.scenarios import FIXED_CALLS, PARALLEL, RESUME_PARALLEL

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


def rows(measurements: Sequence[Measurement], tools: Sequence[str]) -> list[Row]:
    """The table."""
    few = {tool: _of(measurements, "fixed", tool, FIXED_CALLS) for tool in tools}
    fixed_s = {tool: _median(runs, lambda m: _figures(m).seconds) for tool, runs in few.items()}
    fixed_cpu_s = {tool: _median(runs, lambda m: _figures(m).cpu_s) for tool, runs in few.items()}

    def row(
        name: str,
        better: Better,
        scenario: str,
        value: Callable[[Measurement], float | None],
        parallel: int | None = None,
        decimals: int = 2,
        unit: str = "",
    ) -> Row:
        cells = {tool: _cell(_of(measurements, scenario, tool, parallel), value) for tool in tools}
        return Row(name, better, cells, decimals, unit)

    def beyond_fixed(m: Measurement) -> float | None:
        if (fixed := fixed_s[m.tool]) is None:
            return None
        seconds = per_call(_figures(m).seconds, fixed, m.calls, FIXED_CALLS)
        return 1 / seconds if seconds > 0 else None

    def cpu_ms(m: Measurement) -> float | None:
        if (fixed := fixed_cpu_s[m.tool]) is None:
            return None
        return 1_000 * per_call(_figures(m).cpu_s, fixed, m.calls, FIXED_CALLS)

    def size(scenario: str) -> str:
        return f"{max((m.calls for m in measurements if m.scenario == scenario), default=0):,}"

    warm, large = f"Warm rerun of {size('warm')} answers", f"Warm rerun of {size('warm large')} answers"
    killed = f"Killed half way through {size('killed')} calls, run again"
    return [
        *(row(f"Calls/s at {p} parallel, whole run", "higher", "throughput", _rate, p, 0) for p in PARALLEL),
        *(
            row(f"Calls/s at {p} parallel, beyond the fixed part", "higher", "throughput", beyond_fixed, p, 0)
            for p in PARALLEL
        ),
        *(row(f"Client CPU per call at {p} parallel, ms", "lower", "throughput", cpu_ms, p) for p in PARALLEL),
        row(
            "Most in flight at 200 parallel", "higher", "throughput", lambda m: m.server.most_in_flight, 200, decimals=0
        ),
        row(f"Fixed cost: {FIXED_CALLS} calls, s", "lower", "fixed", _seconds),
        row("Start of interpreter and imports, s", "lower", "fixed", lambda m: _figures(m).startup_s),
        row("Largest process at 200 parallel, MB", "lower", "throughput", lambda m: _figures(m).max_rss_mb, 200, 0),
        row(f"{warm}, s", "lower", "warm", _seconds),
        row(f"{warm}: queries sent", "lower", "warm", lambda m: m.server.requests, decimals=0),
        row(f"{large}, s", "lower", "warm large", _seconds),
        row(f"{large}: queries sent", "lower", "warm large", lambda m: m.server.requests, decimals=0),
        row(f"{killed}: wasted calls", "lower", "killed", _wasted, decimals=0),
        row(f"{killed}: wasted beyond the {RESUME_PARALLEL} in flight", "lower", "killed", _wasted_beyond, decimals=0),
        row(f"{killed}: wasted and not reported", "lower", "killed", _unreported, decimals=0),
        row(f"{killed}: seconds of the second run", "lower", "killed", _seconds),
        row(f"{killed}: rows kept", "higher", "killed", _kept, decimals=1, unit="%"),
        row(f"{killed}: tokens recorded, error", "nearer zero", "killed", _token_error, decimals=2, unit="%"),
        row("1% HTTP 500/429: answerable rows kept", "higher", "faults 1%", _kept, decimals=1, unit="%"),
        row("10% HTTP 500/429: answerable rows kept", "higher", "faults 10%", _kept, decimals=1, unit="%"),
        row("10% HTTP 500/429: seconds", "lower", "faults 10%", _seconds),
        row("10% HTTP 500/429: tokens recorded, error", "nearer zero", "faults 10%", _token_error, unit="%"),
        row("1% of questions refused: answerable rows kept", "higher", "refused 1%", _kept, decimals=1, unit="%"),
        row("1% of questions refused: wasted calls", "lower", "refused 1%", _wasted, decimals=0),
        row("No faults: tokens recorded, error", "nearer zero", "throughput", _token_error, 50, unit="%"),
    ]


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


def _of(
    measurements: Iterable[Measurement], scenario: str, tool: str, parallel: int | None = None
) -> list[Measurement]:
    return [m for m in measurements if m.scenario == scenario and m.tool == tool and parallel in (None, m.parallel)]


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
