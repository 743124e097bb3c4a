"""The Markdown page: what each step takes at each size, the law that it follows, and what breaks first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import linear_regression

from benchmarks.growth.measure import Grown
from benchmarks.growth.writers import COMMITS_A_QUERY, ROWS_A_QUERY, Written

ROOM_MB = 1_536.0

NOISE_MB = 20.0
"""Less than this is the allocator's luck."""

STEADY = 1.15
"""Processor time a row at the largest size over that at the one before it: above, a step is named."""


def page(
    grown: Mapping[str, Sequence[Grown]],
    written: Mapping[str, Sequence[Written]],
    machine: Mapping[str, str],
    date: str,
    minutes: float,
) -> str:
    """The whole page."""
    told = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    parts = [
        "# Cost against size\n\nWritten by `python -m benchmarks.growth.run`. Processor time, since others may use the"
        f" machine; {date}, {minutes:.0f} minutes.\n\n{told}",
        *(_part(part, found) for part, found in grown.items()),
        *(["## Writers on one ledger\n\n" + "\n".join(_writers(written))] if written else []),
    ]
    return "\n\n".join(parts) + "\n"


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The power of the size that a cost grows with: the slope of the line through its logarithms, by least squares."""
    return linear_regression([math.log(size) for size in sizes], [math.log(cost) for cost in costs]).slope


def _part(part: str, found: Sequence[Grown]) -> str:
    sizes = [one.size for one in found]
    head = f"| {part} of | " + " | ".join(f"{size:,}" for size in sizes) + " | grows with size to the |"
    rows = [head, "| --- |" + " ---: |" * (len(sizes) + 1)]
    for step in found[0].steps:
        costs = [one.steps[step].cpu_s for one in found]
        rows.append(f"| {step}, s | " + " | ".join(f"{cost:.3g}" for cost in costs) + f" | {_power(sizes, costs)} |")
        memory = [one.steps[step].peak_mb for one in found]
        rows.append("| … memory added, MB | " + " | ".join(f"{one:,.0f}" for one in memory) + " | |")
    disk = [one.disk_mb for one in found]
    rows.append("| disk, MB | " + " | ".join(f"{one:,.1f}" for one in disk) + f" | {_power(sizes, disk)} |")
    return f"## {part.capitalize()}\n\n" + "\n".join(rows) + "\n\n" + _first_to_break(found)


def _power(sizes: Sequence[int], costs: Sequence[float]) -> str:
    return f"{exponent(sizes, costs):.2f}" if len(sizes) > 1 and min(costs) > 0 else ""


def _first_to_break(found: Sequence[Grown]) -> str:
    """The step whose cost a row rises most, where one does."""
    if len(found) == 1:
        return "Measured at one size."
    *_, before, last = [*found[:1], *found]
    rises = {
        step: last.steps[step].cpu_s / last.size / (before.steps[step].cpu_s / before.size)
        for step in last.steps
        if before.steps[step].cpu_s > 0
    }
    worst = max(rises, key=lambda step: rises[step])
    told = f"from {before.size:,} to {last.size:,}"
    time = f"{worst} takes {rises[worst]:.2f} times as long a row {told}."
    if rises[worst] <= STEADY:
        time = f"No step takes more than {STEADY:g} times as long a row {told}."
    return f"{time} {_memory_ends(before, last)}"


def _memory_ends(before: Grown, last: Grown) -> str:
    """At which size a step's memory passes `ROOM_MB`, on the line through the two largest sizes."""
    ends = {}
    for step, cost in last.steps.items():
        added = cost.peak_mb - before.steps[step].peak_mb
        if added > NOISE_MB:
            ends[step] = last.size + (ROOM_MB - cost.peak_mb) * (last.size - before.size) / added
    if not ends:
        return "No step's memory grows."
    first = min(ends, key=lambda step: ends[step])
    return (
        f"First to break: the memory of {first}, which passes {ROOM_MB:,.0f} MB at about {ends[first]:,.0f}"
        f" on the line through {before.size:,} and {last.size:,}: an extrapolation, not a measurement."
    )


def _writers(written: Mapping[str, Sequence[Written]]) -> Iterator[str]:
    yield f"A query is {ROWS_A_QUERY} rows in {COMMITS_A_QUERY} durable writes, each waited for; 64 at once a writer.\n"
    counts = [one.writers for one in next(iter(written.values()))]
    yield "| queries a second | " + " | ".join(f"{count} writers" for count in counts) + " |"
    yield "| --- |" + " ---: |" * len(counts)
    for name, found in written.items():
        yield f"| {name} | " + " | ".join(f"{one.queries_a_second:,.0f}" for one in found) + " |"
        yield (
            "| … processor time of the writers a query, ms | "
            + " | ".join(f"{one.cpu_ms_a_query:.2f}" for one in found)
            + " |"
        )
    loads = [one.load for found in written.values() for one in found]
    if loads:
        yield f"\nThe machine's load was {min(loads):.0f} to {max(loads):.0f}."
