from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.utils.logging import tqdm

from teams_dagster.student.quiet import quieten_bitsandbytes, quieten_transformers

TRAIN = """
import sys
from pathlib import Path
from teams_dagster.dataset.sample import Example
from teams_dagster.core.instruction import Instruction
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
examples = [Example(f"s{i}", f"seed-{i}", Instruction(f"Say {i}."), f"It is {i}.") for i in range(4)]
train_adapter(sys.argv[1], examples, examples, Path(sys.argv[2]), AdapterConfig(kind="qlora", max_steps=1))
"""


@pytest.mark.slow
def test_making_an_adapter_writes_nothing_to_the_terminal(base: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAIN, str(base), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_other_bars_and_notes_still_show(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    quieten_bitsandbytes()
    quieten_transformers()
    list(tqdm(range(2), desc="Fetching files"))
    list(tqdm(range(2), desc="Loading weights"))
    shown = capfd.readouterr().err
    assert "Fetching files" in shown
    assert "Loading weights" not in shown
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward")
    logger.warning("the library is damaged")
    assert caplog.messages == ["the library is damaged"]
