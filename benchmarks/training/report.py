"""The Markdown page: for each figure the goal, what was reached, and where we lose."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.training.measure import OURS, PLAIN, PLAIN_RANDOM, Measured

NOTHING_MB = 5.0
"""Less than this is the allocator's luck."""
NAMES = {
    OURS: "ours",
    PLAIN: "plain TRL script, examples grouped by length",
    PLAIN_RANDOM: "plain TRL script, its random order",
}
KINDS = {"lora": "LoRA", "qlora": "QLoRA"}
FLOPS_A_TOKEN = 4
"""For each parameter of a frozen base: 2 forward, 2 backward; nothing is computed for its weights' gradients."""


@dataclass(frozen=True)
class Row:
    """One training."""

    kind: str
    side: str
    repeat: int
    measured: Measured
    gives_back: bool
    """Freed memory went back at once: the peak is memory in use, and the time is nothing to compare."""


@dataclass(frozen=True)
class Circumstances:
    """What a reader needs to know to take the figures again."""

    date: str
    minutes: float
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    parameters: int
    examples: int
    batch_size: int
    threads: int
    device: str
    trial: bool
    peak_flops: float | None
    """Of the GPU, where one was used and this is known."""


def page(rows: Sequence[Row], c: Circumstances) -> str:
    """The whole page."""
    parts = [
        _head(c),
        "## Goals\n\n" + "\n".join(_goals(rows)),
        "## Trainings\n\n" + "\n".join(_table(rows, c)),
        "## Where we lose\n\n" + "\n".join(_losses(rows)),
    ]
    return "\n\n".join(parts) + "\n"


def speed(row: Row) -> float:
    """Tokens a second, padding left out."""
    return row.measured.tokens / row.measured.cost.seconds


def speed_per_cpu(row: Row) -> float:
    """Tokens a second of processor time: what is left of a speed when others use the machine."""
    return row.measured.tokens / row.measured.cost.cpu_s


def peak_mb(row: Row) -> float:
    """Of the GPU where one was used, else resident memory less that before; in MB."""
    return row.measured.gpu_peak_mb or row.measured.cost.peak_mb


def of(rows: Sequence[Row], kind: str, side: str) -> list[Row]:
    """The timed repeats of one side."""
    return [row for row in rows if (row.kind, row.side, row.gives_back) == (kind, side, False)]


def in_use_mb(rows: Sequence[Row], kind: str, side: str) -> float:
    """Peak of the memory in use, in MB: the GPU's own count, or that of a run that gave back what it freed."""
    weighed = [row for row in rows if (row.kind, row.side, row.gives_back) == (kind, side, True)]
    return statistics.median(map(peak_mb, weighed or of(rows, kind, side)))


def _head(c: Circumstances) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in c.machine.items())
    versions = ", ".join(f"{name} {number}" for name, number in c.versions.items())
    note = "\n\n**A trial run of tiny sizes: its figures mean nothing.**" if c.trial else ""
    return (
        "# Fine-tuning: tokens a second and memory beside a plain TRL script\n\n"
        f"Made by `make bench-training` on {c.date} in {c.minutes:.0f} minutes, on {c.device}.{note}\n\n{machine}\n"
        f"- versions: {versions}\n- each training in a process of its own, the sides in turn; {c.threads} threads\n\n"
        f"A Llama of {c.parameters / 1e6:.1f} million parameters with random weights, one pass over {c.examples}"
        f" examples, {c.batch_size} an update. Timed from the base on the disk to the last update: loading, tokens,"
        " training, ten checkpoints. The plain script is the one of TRL's documentation with the same settings. Imports"
        " are not counted. Memory in use is weighed in runs of their own, whose allocator gives back at once what is"
        " freed; resident memory in the timed runs has what it keeps besides, which is much and varies."
        " The path for GPUs is in the code (`--shape 7b`) and "
        + ("was run here." if c.device != "cpu" else "was **not run**: there was no GPU.")
    )


def _goals(rows: Sequence[Row]) -> Iterator[str]:
    yield "| figure | goal | reached | |"
    yield "|---|---|---|---|"
    for kind, name in KINDS.items():
        if of(rows, kind, OURS):
            for what, measure in (("wall", speed), ("processor", speed_per_cpu)):
                ratio = _median(rows, kind, OURS, measure) / _median(rows, kind, PLAIN, measure)
                met = "met" if ratio >= 1 else "**missed**"
                yield f"| {name}, tokens a second of {what} time over the plain script's | 1.00 | {ratio:.2f} | {met} |"
            ours, plain = (in_use_mb(rows, kind, side) for side in (OURS, PLAIN))
            met = "met" if ours <= plain + NOTHING_MB else "**missed**"
            yield f"| {name}, peak of memory in use over the plain script's | 1.00 | {ours / plain:.2f} | {met} |"


def _table(rows: Sequence[Row], c: Circumstances) -> Iterator[str]:
    utilised = " | FLOPs used, of the peak" if c.peak_flops else ""
    columns = "tokens/s, median (range) | tokens/s of processor time | peak MB in use | resident | last loss | load"
    yield f"| | | {columns}{utilised} |"
    yield "|---" * (9 if c.peak_flops else 8) + "|"
    for kind, name in KINDS.items():
        for side, told in NAMES.items():
            if found := of(rows, kind, side):
                cells = [name, told, _range(map(speed, found))]
                cells += [
                    f"{_median(rows, kind, side, speed_per_cpu):,.0f}",
                    f"{in_use_mb(rows, kind, side):.0f}",
                    _range(map(peak_mb, found)),
                ]
                cells += [f"{found[-1].measured.final_loss:.3f}", f"{found[-1].measured.cost.load:.1f}"]
                if c.peak_flops:
                    used = FLOPS_A_TOKEN * c.parameters * _median(rows, kind, side, speed)
                    cells.append(f"{used / c.peak_flops:.0%}")
                yield f"| {' | '.join(cells)} |"


def _range(values: Iterable[float]) -> str:
    """The median, and the lowest and highest of all."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):,.0f} ({ordered[0]:,.0f} to {ordered[-1]:,.0f})"


def _losses(rows: Sequence[Row]) -> Iterator[str]:
    lost = False
    for kind, name in KINDS.items():
        for peer in (PLAIN, PLAIN_RANDOM):
            if not of(rows, kind, OURS) or not of(rows, kind, peer):
                continue
            ours, theirs = (_median(rows, kind, side, speed_per_cpu) for side in (OURS, peer))
            if ours < theirs:
                lost = True
                told = f"{ours:,.0f} tokens a second of processor time, theirs {theirs:,.0f}"
                yield f"- {name} against the {NAMES[peer]}: {told}."
            ours, theirs = (_median(rows, kind, side, peak_mb) for side in (OURS, peer))
            if ours > theirs + NOTHING_MB:
                lost = True
                yield f"- {name} against the {NAMES[peer]}: resident memory {ours:.0f} MB, theirs {theirs:.0f} MB."
    yield (
        "- A step of the graph also starts a process, which imports torch, transformers and TRL: about five seconds of"
        " processor time that a script of one's own spends as well, and a training inside Dagster's process would not."
    )
    if not lost:
        yield "- Nowhere else in this run."


def _median(rows: Sequence[Row], kind: str, side: str, measure: Callable[[Row], float]) -> float:
    return statistics.median(measure(row) for row in of(rows, kind, side))
