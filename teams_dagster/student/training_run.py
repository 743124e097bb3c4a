"""A training in a process of its own: whatever happens to it, the process that asked for it goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from teams_dagster.student.adapter_config import CHECKPOINTS, FAILURE, MODEL, REPORT, WORKING_FILES, ProcessRequest
from teams_dagster.student.process import KILLED, why_it_ended

SCRIPT = "teams_dagster.student.training_script"

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled"}
"""Environment of a training: no library reports to anybody."""

_SOURCE = Path(__file__).parent.parent.parent


class TrainingFailed(RuntimeError):
    """A training that ended without a model."""


def training_command(request: ProcessRequest, script: str = SCRIPT) -> list[str]:
    """The command that trains what `request` asks for, in its folder, by the module `script`.

    What an earlier attempt ended with there is removed. Its checkpoints stay: the training goes on from the last one.
    """
    for left in (REPORT, FAILURE):
        (request.folder / left).unlink(missing_ok=True)
    shutil.rmtree(request.folder / MODEL, ignore_errors=True)
    return [sys.executable, "-m", script, str(request.save())]


def training_environment() -> dict[str, str]:
    """Environment variables that the command needs beside those of this process."""
    path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))
    return {**QUIET, "PYTHONPATH": path}


def finished_training(request: ProcessRequest) -> dict[str, Any]:
    """The report of a training that ended well; its working files and checkpoints are removed."""
    for name in WORKING_FILES:
        (request.folder / name).unlink(missing_ok=True)
    shutil.rmtree(request.folder / CHECKPOINTS, ignore_errors=True)
    return json.loads((request.folder / REPORT).read_text(encoding="utf-8"))


def failed_training(request: ProcessRequest, exit_code: int, advice: str, *, launched: bool = False) -> TrainingFailed:
    """Why a training ended with `exit_code`: what it wrote down, or what the code means.

    Args:
        advice: Which settings take less memory, where that ran out.
        launched: Whether a launcher of several processes stood between.
    """
    written = request.folder / FAILURE
    if written.exists():
        return TrainingFailed(written.read_text(encoding="utf-8"))
    return TrainingFailed(f"the training {why_it_ended(exit_code, advice, launched=launched)}")


def failed_job(
    request: ProcessRequest, exit_code: int | None, said: str, advice: str, *, launched: bool = False
) -> TrainingFailed:
    """The same of a training that was a cluster's job, of which the cluster `said` how it ended.

    Args:
        exit_code: None where its process did not get to end.
        advice: Which settings take less memory, where that ran out.
        launched: Whether a launcher of several processes stood between.
    """
    if exit_code is not None and (exit_code in KILLED or (request.folder / FAILURE).exists()):
        return failed_training(request, exit_code, advice, launched=launched)
    return TrainingFailed(
        f"the training ended without a word of its own: {said.strip()}\nEach node needs the project, its environment"
        f" and the data folder at the paths they have here (it trains in {request.folder})"
    )
