"""The Markdown page: the table, what it means, and where we lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.llm.figures import Row, Spread, advantage, best_rival, losses, rows
from benchmarks.llm.measurement import GIVE_UP_AFTER_S, Measurement, Tool
from benchmarks.llm.scenarios import FIXED_CALLS, FLOOR, LATENCIES_S, OURS, PARALLEL, SLOW, Sizes
from benchmarks.llm.server import WORDS_IN_ANSWER, Behaviour

TARGET = 1.5
"""How many times the best rival's calls/s we want to make."""


@dataclass(frozen=True)
class Circumstances:
    """What a reader needs to know to take the figures again."""

    date: str
    minutes: float
    machine: Mapping[str, str]
    versions: Mapping[str, Mapping[str, str]]
    """By tool."""
    repeats: int
    sizes: Sizes
    scale: float
    answer_bytes: int
    question_bytes: int
    ceiling: Mapping[str, float]


def page(
    measurements: Sequence[Measurement],
    tools: Sequence[Tool],
    circumstances: Circumstances,
    big_ledger: Mapping[str, float] | None,
) -> str:
    """The whole page."""
    names = [tool.name for tool in tools]
    table = rows(measurements, names)
    parts = [
        _head(circumstances),
        "## Calls a second\n\n" + "\n".join(_rates(table, tools)),
        "## Side by side\n\n" + "\n".join(_table([row for row in table if row.ceiling is None], tools)),
        _reading(circumstances),
        "## Where we lose\n\n" + "\n".join(_losses(table, tools)),
    ]
    if big_ledger is not None:
        parts.append("## A large ledger\n\n" + "\n".join(_big_ledger(big_ledger)))
    parts.append("## Versions\n\n" + "\n".join(_versions(tools, circumstances.versions)))
    return "\n\n".join(parts) + "\n"


def _head(c: Circumstances) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in c.machine.items())
    note = "" if c.scale == 1.0 else f"\n\n**A trial run of {c.scale:g} of the size: its figures mean nothing.**"
    return (
        "# Asking language models: side by side\n\n"
        f"Made by `make bench` on {c.date} in {c.minutes:.0f} minutes.{note}\n\n{machine}\n"
        f"- server: loopback, {_ms(Behaviour().latency_s)} per call where nothing else is said, answers of"
        f" {WORDS_IN_ANSWER} words"
        f" ({c.answer_bytes} bytes of JSON), questions of about {c.question_bytes} bytes\n"
        f"- repeats: {c.repeats}, each in a new process, the tools taking turns; median (lowest to highest)\n"
        f"- what the server can do: {c.ceiling['calls_per_s']:.0f} calls/s asked by bare aiohttp without latency;"
        f" it spends {c.ceiling['server_cpu_ms']:.2f} ms of a core per call, so it could do"
        f" {1_000 / c.ceiling['server_cpu_ms']:.0f} a second were the client free"
    )


def _rates(table: Sequence[Row], tools: Sequence[Tool]) -> Iterator[str]:
    """The table of calls/s, each with what its latency allows at most."""
    rivals = [tool.name for tool in tools if tool.rival]
    titles = (*(tool.label for tool in tools), "times the best rival", "at most", "at most, times the best rival")
    yield "| | " + " | ".join(titles) + " |"
    yield "|---" * (len(titles) + 1) + "|"
    for row in table:
        if row.ceiling is not None:
            cells = [_cell(row, row.cells.get(tool.name, "")) for tool in tools]
            cells += [_against(row, rivals), f"{row.ceiling:,.0f}", _reach(row, row.ceiling, rivals)]
            yield f"| {row.name} | " + " | ".join(cells) + " |"
    yield ""
    yield (
        "At most: calls in parallel over latency, which no client can pass, whatever it is made of. With"
        f" {_ms(LATENCIES_S[0])} few calls in parallel wait for the server most of the time; with"
        f" {_ms(LATENCIES_S[1])} they wait for the client, which is what is compared here."
    )


def _reach(row: Row, ceiling: float, rivals: Sequence[str]) -> str:
    best = best_rival(row, rivals)
    if best is None:
        return ""
    most = ceiling / best[1].median
    return f"{most:.2f}" if most >= TARGET else f"{most:.2f}: {TARGET:g} is impossible"


def _table(table: Sequence[Row], tools: Sequence[Tool]) -> Iterator[str]:
    rivals = [tool.name for tool in tools if tool.rival]
    yield "| | " + " | ".join(tool.label for tool in tools) + " | how many times better than the best rival |"
    yield "|---" * (len(tools) + 2) + "|"
    for row in table:
        cells = [_cell(row, row.cells.get(tool.name, "")) for tool in tools]
        yield f"| {row.name} | " + " | ".join(cells) + f" | {_against(row, rivals)} |"


def _cell(row: Row, cell: Spread | str) -> str:
    if isinstance(cell, str):
        return cell
    median = _number(cell.median, row)
    same = cell.repeats == 1 or _number(cell.low, row) == _number(cell.high, row)
    return median if same else f"{median} ({_number(cell.low, row)} to {_number(cell.high, row)})"


def _number(value: float, row: Row) -> str:
    shown = f"{value:,.{row.decimals}f}"
    return f"{0:.{row.decimals}f}{row.unit}" if float(shown.replace(",", "")) == 0 else f"{shown}{row.unit}"


def _against(row: Row, rivals: Sequence[str]) -> str:
    mine, best = row.cells.get(OURS), best_rival(row, rivals)
    if not isinstance(mine, Spread) or best is None:
        return ""
    ratio = advantage(mine.median, best[1].median, row.better)
    if ratio is None:
        return f"{_number(mine.median, row)} to {_number(best[1].median, row)}"
    if ratio == 1.0:
        return "equal"
    return f"{ratio:.2f}" if ratio > 1 else f"**{ratio:.2f}**"


def _reading(c: Circumstances) -> str:
    slow = [c.sizes.throughput(SLOW, parallel) for parallel in PARALLEL]
    others = [c.sizes.throughput(OURS, parallel) for parallel in PARALLEL]
    return (
        "Reading it: every tool asks the same words (one rewrite of an instruction), each at its own default retries. "
        "Imports are apart: what a tool imports late is imported before its clock starts. "
        f"Runs make {_listed(others)} calls at {_listed(PARALLEL)} parallel, distilabel's {_listed(slow)}, "
        "which raises the weight of its fixed cost in a whole run; `beyond the fixed part` is free of that: "
        f"calls less {FIXED_CALLS} over seconds less those of the {FIXED_CALLS}-call run. CPU per call likewise, "
        "of the tool's process and its children. "
        "teams-dagster always writes every attempt to its ledger and waits until it is durable, and ends with its "
        "answers in a Parquet file, as the rivals end with a data set; Curator keeps its "
        "response cache; DataDesigner writes row groups of 1,000 (50 where it is rerun or killed: our choice, since it "
        "goes on from a finished row group); "
        "distilabel keeps a batch in flight, its only setting, and runs in several processes, of which the "
        "largest is shown. bare aiohttp retries nothing and keeps nothing: the floor.\n\n"
        f"Warm: the finished work of {c.sizes.warm():,} rows again ({c.sizes.warm_large():,} for us alone, too). "
        f"Killed: SIGKILL to all processes of a run of {c.sizes.killed():,} calls when half have arrived, then the "
        "same again; wasted is what the server got beyond one call each, "
        "reported what the tool itself says is lost. Tokens after a kill fall short by the calls "
        "whose fate nobody knows; our ledger lists those as unresolved. "
        f"Faults: {c.sizes.faults():,} rows once (the same faults for everyone, a hash of the question and of how "
        "often it was asked, half HTTP 500, half 429 with `Retry-After: 1`); refused questions get HTTP 400 however "
        f"often they are asked, and do not count as answerable. `hung`: it had sent nothing for {GIVE_UP_AFTER_S:g} s "
        "and was ended. "
        "DataDesigner tells tokens to its log alone; distilabel repeats a batch's tokens on each of its rows, and "
        "their sum is taken as a user would."
    )


def _ms(seconds: float) -> str:
    return f"{1_000 * seconds:g} ms"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


def _losses(table: Sequence[Row], tools: Sequence[Tool]) -> Iterator[str]:
    labels = {tool.name: tool.label for tool in tools}
    found = losses(table, OURS, [tool.name for tool in tools if tool.rival])
    for row, rival, mine, theirs in found:
        overlap = mine.low <= theirs.high and theirs.low <= mine.high and mine.repeats > 1
        doubt = "; the ranges overlap" if overlap else ""
        yield f"- {row.name}: {labels[rival]} {_cell(row, theirs)}, we {_cell(row, mine)}{doubt}."
    if not found:
        yield "- To no rival in any figure of this table."
    yield from _against_the_target(table, tools)
    yield from _against_the_floor(table)


def _against_the_target(table: Sequence[Row], tools: Sequence[Tool]) -> Iterator[str]:
    """Where we are not so many times faster than the best rival as we want to be, and whether anybody could be."""
    rivals, labels = [tool.name for tool in tools if tool.rival], {tool.name: tool.label for tool in tools}
    for row, mine in _whole_runs(table):
        best = best_rival(row, rivals)
        if best is None or row.ceiling is None or mine.median >= TARGET * best[1].median:
            continue
        rival, most = labels[best[0]], row.ceiling / best[1].median
        impossible = "" if most >= TARGET else f": no client can be {TARGET:g} times {rival} here"
        yield (
            f"- {row.name}: {mine.median / best[1].median:.2f} times {rival}, not the {TARGET:g} times that we aim at."
            f" The latency allows {row.ceiling:,.0f} calls/s at most, {most:.2f} times it{impossible}."
        )


def _against_the_floor(table: Sequence[Row]) -> Iterator[str]:
    for row, mine in _whole_runs(table):
        if isinstance(floor := row.cells.get(FLOOR), Spread):
            yield f"- {row.name}: {100 * mine.median / floor.median:.0f}% of bare aiohttp, which keeps nothing."


def _whole_runs(table: Sequence[Row]) -> Iterator[tuple[Row, Spread]]:
    """The rows of calls/s of whole runs in which we have a figure, with it."""
    for row in table:
        mine = row.cells.get(OURS)
        if row.ceiling is not None and row.name.endswith("whole run") and isinstance(mine, Spread):
            yield row, mine


def _big_ledger(figures: Mapping[str, float]) -> Iterator[str]:
    yield "One process reads the ledger into a new `teams.duckdb`; then each query is asked five times, median."
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in figures.items():
        yield f"| {name} | {value:,.{0 if value >= 100 else 1}f} |"


def _versions(tools: Sequence[Tool], versions: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for tool in tools:
        yield f"- {tool.label}: " + ", ".join(f"{name} {number}" for name, number in versions[tool.name].items())
