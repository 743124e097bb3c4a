"""What a training computes in: bf16 where a GPU has it, or where a processor was measured to be faster in it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig

from teams_dagster.student.adapter_config import AdapterConfig

NARROW = 512
"""Hidden size below which a student's products are too short to gain anything: it stays in float32."""
WORTH_IT = 0.8
"""bf16 is taken where a layer's update takes at most this share of its time in float32."""
TOKENS, REPEATS = 512, 3
DECIDED = "precision.json"


@dataclass(frozen=True)
class Precision:
    """A decision, and what it rests on."""

    dtype: str
    """`bfloat16` or `float32`."""
    reason: str

    @property
    def torch_dtype(self) -> torch.dtype:
        """The same, as torch has it."""
        return cast(torch.dtype, getattr(torch, self.dtype))


def decided_precision(config: AdapterConfig, base: str | Path, folder: Path) -> Precision:
    """The precision of the training whose checkpoints are in `folder`: decided once, and kept there.

    A training that goes on must not change it. Raises ValueError where bf16 is asked for on a GPU that has none.
    """
    kept = folder / DECIDED
    if kept.exists():
        return Precision(**json.loads(kept.read_text(encoding="utf-8")))
    decided = choose_precision(config, base)
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(decided)), encoding="utf-8")
    return decided


def choose_precision(config: AdapterConfig, base: str | Path) -> Precision:
    """What the settings say; for `auto` on a CPU a measurement, where the processor multiplies bf16 in hardware."""
    gpu = torch.cuda.is_available()
    has_bf16 = gpu and torch.cuda.is_bf16_supported()
    if config.precision == "bf16" and gpu and not has_bf16:
        raise ValueError("precision bf16: this GPU does not have it; choose fp32 or auto")
    if config.precision != "auto":
        return Precision({"bf16": "bfloat16", "fp32": "float32"}[config.precision], "as the settings say")
    if gpu:
        return Precision("bfloat16", "the GPU has it") if has_bf16 else Precision("float32", "the GPU has no bf16")
    if config.kind == "full":
        return Precision("float32", "every weight is trained on a CPU")
    if not multiplies_bf16():
        return Precision("float32", "this processor does not multiply bf16 in hardware")
    model = cast(Any, AutoConfig).from_pretrained(str(base)).get_text_config()
    if model.hidden_size < NARROW:
        return Precision("float32", f"hidden size {model.hidden_size} is too narrow to gain anything in bf16")
    return by_measurement(model.hidden_size, getattr(model, "intermediate_size", None) or 4 * model.hidden_size)


def multiplies_bf16() -> bool:
    """Whether this processor has instructions that multiply bf16 (AMX or AVX512-BF16)."""
    return (  # torch has no public name for either
        torch.cpu._is_amx_tile_supported()  # pyright: ignore[reportPrivateUsage]
        or torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
    )


def by_measurement(hidden: int, inner: int) -> Precision:
    """The faster of the two at forward and backward passes through one frozen feed-forward layer; a second's work."""
    seconds = {dtype: _seconds(hidden, inner, dtype) for dtype in (torch.float32, torch.bfloat16)}
    single, half = seconds.values()
    reason = f"a layer's forward and backward pass took {half * 1000:.0f} ms in bf16 and {single * 1000:.0f} ms in fp32"
    return Precision("bfloat16" if half <= WORTH_IT * single else "float32", reason)


def _seconds(hidden: int, inner: int, dtype: torch.dtype) -> float:
    """The best of a few passes."""
    layer = torch.nn.Sequential(torch.nn.Linear(hidden, inner), torch.nn.SiLU(), torch.nn.Linear(inner, hidden))
    layer.to(dtype).requires_grad_(False)
    best = float("inf")
    for _ in range(REPEATS):
        given = torch.ones(TOKENS, hidden, dtype=dtype, requires_grad=True)
        began = time.perf_counter()
        layer(given).sum().backward()
        best = min(best, time.perf_counter() - began)
    return best
