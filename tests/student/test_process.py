from __future__ import annotations

import pytest
import torch

from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.process import less_memory, why_it_ended, why_it_failed

CONFIG = AdapterConfig(kind="lora", batch_size=8, max_length=1024)
ADVICE = less_memory(CONFIG)
LESS = "batch_size 4 with gradient_accumulation 2 (the same update), gradient_checkpointing: true, qlora_model instead"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_the_settings_to_change(error: BaseException) -> None:
    cause = why_it_failed(error, ADVICE)
    assert cause.startswith("out of memory")
    assert LESS in cause
    assert "a max_length below 1024" in cause


def test_another_error_is_named_as_it_is() -> None:
    assert why_it_failed(ValueError("no training examples"), ADVICE) == "ValueError: no training examples"


@pytest.mark.parametrize("code", [-9, 137])
def test_a_killed_process_probably_had_no_memory_left(code: int) -> None:
    cause = why_it_ended(code, ADVICE, launched=False)
    assert f"was killed (exit code {code}), probably because memory ran out" in cause
    assert LESS in cause


def test_other_endings_are_named() -> None:
    assert "signal SIGSEGV" in why_it_ended(-11, ADVICE, launched=False)
    assert "ended with code 3" in why_it_ended(3, ADVICE, launched=False)
    assert "ended with its launcher, code 1" in why_it_ended(1, ADVICE, launched=True)
