"""What an update takes on a CPU in bf16 and in float32, operation by operation; writes BF16.md beside this file.

`python -m benchmarks.training.bf16 models/smollm2`: a LoRA update of the product's own trainer at the student in that
folder, forward and backward pass apart, the two precisions in turn. It needs a processor that multiplies bf16 in
hardware, and nothing else running.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.llm import machine
from benchmarks.policy.process import ROOT
from benchmarks.training.student import make_examples
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.loading import load_student, load_tokenizer
from teams_dagster.student.precision import multiplies_bf16
from teams_dagster.student.quiet import quieten_transformers
from teams_dagster.student.rows import Rows, encode_rows
from teams_dagster.student.trainer import make_trainer

PRECISIONS = (torch.float32, torch.bfloat16)
PASSES = ("forward", "backward")
REPEATS = 5
OPERATIONS: Mapping[str, Sequence[str]] = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "from one precision to the other, and copies": ("aten::copy_",),
    "softmax over the vocabulary": (
        "aten::_log_softmax",
        "aten::_log_softmax_backward_data",
        "aten::exp",
        "aten::logsumexp",
    ),
    "sums, products and activations of single elements": (
        *("aten::add", "aten::add_", "aten::mul", "aten::mul_", "aten::sub", "aten::sub_", "aten::div", "aten::neg"),
        *("aten::silu", "aten::silu_backward", "aten::pow", "aten::rsqrt", "aten::mean", "aten::sum"),
    ),
}
"""Operators by what they do; every other one is counted as `the rest`."""
REST = "the rest"


@dataclass(frozen=True)
class Update:
    """What an update takes in one precision, the fastest of the repeats."""

    tokens: int
    seconds: Mapping[str, float]
    """By pass."""
    operations: Mapping[tuple[str, str], float]
    """Seconds inside operators under a profiler, by pass and kind of operation."""

    @property
    def speed(self) -> float:
        """Tokens a second of both passes together."""
        return self.tokens / sum(self.seconds.values())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="folder of the student, e.g. models/smollm2")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "BF16.md")
    asked = parser.parse_args()
    if not multiplies_bf16():
        raise SystemExit("this processor has neither AMX nor AVX512-BF16: there is nothing to compare")
    quieten_transformers()
    tokenizer, _ = load_tokenizer(asked.base)
    rows = encode_rows(tokenizer, make_examples(8), 1024)
    described = machine.describe(ROOT)
    none = encode_rows(tokenizer, [], 1024)
    with tempfile.TemporaryDirectory() as scratch:
        steps = {dtype: Step.of(asked.base, rows, none, dtype, Path(scratch)) for dtype in PRECISIONS}
        updates = measure(steps)
    asked.output.write_text(page(updates, described), encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """An update that can be made again and again, in one precision."""

    trainer: Any
    model: Any
    batch: Any

    @classmethod
    def of(cls, base: Path, rows: Rows, held: Rows, dtype: torch.dtype, scratch: Path) -> Step:
        """Of a LoRA adapter on the base at `base` in `dtype`, on the first batch of `rows`."""
        config = AdapterConfig(kind="lora", batch_size=4)
        student = load_student(base, dtype=dtype)
        trainer, _ = make_trainer(student, rows, held, config, scratch / str(dtype), lambda _: None, dtype)
        model = trainer.accelerator.prepare(trainer.model)
        model.train()
        return cls(trainer, model, next(iter(trainer.get_train_dataloader())))

    def forward(self) -> torch.Tensor:
        """The loss."""
        with self.trainer.compute_loss_context_manager():
            return self.trainer.compute_loss(self.model, self.batch)


def measure(steps: Mapping[torch.dtype, Step]) -> dict[torch.dtype, Update]:
    """The precisions in turn, the fastest of each pass and kind of operation."""
    seconds: dict[torch.dtype, dict[str, float]] = {dtype: {} for dtype in steps}
    operations: dict[torch.dtype, dict[tuple[str, str], float]] = {dtype: {} for dtype in steps}
    for _ in range(REPEATS):
        for dtype, step in steps.items():
            _keep_least(seconds[dtype], _timed(step))
            _keep_least(operations[dtype], _profiled(step))
    return {
        dtype: Update(step.batch["input_ids"].numel(), seconds[dtype], operations[dtype])
        for dtype, step in steps.items()
    }


def _keep_least(least: dict[Any, float], found: Mapping[Any, float]) -> None:
    for name, value in found.items():
        least[name] = min(value, least.get(name, value))


def _timed(step: Step) -> dict[str, float]:
    """Seconds of each pass."""
    began = time.perf_counter()
    loss = step.forward()
    between = time.perf_counter()
    loss.backward()
    ended = time.perf_counter()
    step.model.zero_grad()
    return dict(zip(PASSES, (between - began, ended - between), strict=True))


def _profiled(step: Step) -> dict[tuple[str, str], float]:
    """Seconds inside operators by pass and kind."""
    with profile(activities=[ProfilerActivity.CPU]) as forward:
        loss = step.forward()
    with profile(activities=[ProfilerActivity.CPU]) as backward:
        loss.backward()
    step.model.zero_grad()
    inside: dict[tuple[str, str], float] = {}
    for name, seen in zip(PASSES, (forward, backward), strict=True):
        for event in seen.key_averages():
            if event.key.startswith("aten::"):
                kind = next((kind for kind, names in OPERATIONS.items() if event.key in names), REST)
                inside[name, kind] = inside.get((name, kind), 0.0) + event.self_cpu_time_total / 1e6
    return inside


def page(updates: Mapping[torch.dtype, Update], described: Mapping[str, str]) -> str:
    """The whole page."""
    single, half = (updates[dtype] for dtype in PRECISIONS)
    lines = [
        "# A LoRA update on a CPU in bf16 and in float32",
        "",
        f"Made by `python -m benchmarks.training.bf16` on {datetime.now(UTC).date().isoformat()}.",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        f"- {torch.get_num_threads()} threads; {single.tokens:,} tokens an update of four examples, padding counted;"
        f" fastest of {REPEATS} updates, and of {REPEATS} more under a profiler for the operators",
        "",
        "| | float32 | bf16 | float32's time over bf16's |",
        "|---|---|---|---|",
        f"| tokens a second | {single.speed:,.0f} | {half.speed:,.0f} | {half.speed / single.speed:.2f} |",
    ]
    for name in PASSES:
        lines.append(_row(f"**{name} pass**, ms", single.seconds[name], half.seconds[name]))
        lines += [
            _row(kind, single.operations.get((name, kind), 0.0), half.operations.get((name, kind), 0.0))
            for kind in (*OPERATIONS, REST)
        ]
    return "\n".join([*lines, "", what_holds(single, half)]) + "\n"


def what_holds(single: Update, half: Update) -> str:
    """Why the backward pass gains less than its matrix products do."""
    before, after = (
        {kind: update.operations.get((PASSES[1], kind), 0.0) for kind in (*OPERATIONS, REST)}
        for update in (single, half)
    )
    worst = max(after, key=lambda kind: after[kind] - before[kind])
    inside = sum(after.values())
    products = "matrix products"
    others = (inside - after[products]) / (sum(before.values()) - before[products])
    return (
        f"Matrix products, which the processor's bf16 instructions speed up, are {after[products] / inside:.0%} of"
        f" bf16's backward pass and take {after[products] / before[products]:.0%} of their time in float32. Everything"
        f" else together takes {others:.0%} of its time; the worst is {worst}: {after[worst] * 1000:,.0f} ms instead of"
        f" {before[worst] * 1000:,.0f}."
    )


def _row(name: str, single: float, half: float) -> str:
    ratio = f"{single / half:.2f}" if half > 0.0005 else ""
    return f"| {name} | {single * 1000:,.0f} | {half * 1000:,.0f} | {ratio} |"


if __name__ == "__main__":
    main()
