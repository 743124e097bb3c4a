from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from transformers.utils.logging import tqdm

from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.quiet import quieten_libraries


def test_making_an_adapter_writes_nothing_to_the_terminal(
    base: Path, examples: list[Example], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        train_adapter(base, examples, examples[:2], tmp_path, AdapterConfig(kind="qlora", max_steps=1))
    assert capfd.readouterr() == ("", "")
    assert [str(w.message) for w in seen if "gradient_checkpointing" in str(w.message)] == []


def test_other_bars_and_notes_still_show(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    quieten_libraries()
    list(tqdm(range(2), desc="Fetching files"))
    list(tqdm(range(2), desc="Loading weights"))
    shown = capfd.readouterr().err
    assert "Fetching files" in shown
    assert "Loading weights" not in shown
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward")
    logger.warning("the library is damaged")
    assert caplog.messages == ["the library is damaged"]
