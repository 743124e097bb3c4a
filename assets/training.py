"""A training runs as a script beside the step: whatever happens to it, the Dagster process goes on."""

import json
import os
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import dagster as dg

from assets.adapter_settings import AdapterSettings
from teams_dagster.dataset.stored import dataset_file
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.failures import why_it_ended
from teams_dagster.student.request import CHECKPOINTS, FAILURE, MODEL, REPORT, WORKING_FILES, TrainingRequest

SCRIPT = "teams_dagster.student.training_script"

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled"}
"""Environment of a training: no library reports to anybody."""

_SOURCE = Path(__file__).parent.parent


class TrainingFailed(RuntimeError):
    """A training that ended without a model."""


def train_in_script(
    context: dg.AssetExecutionContext,
    base: str,
    dataset: Artefact,
    folder: Path,
    config: AdapterConfig,
    settings: AdapterSettings,
) -> dict[str, Any]:
    """Train in `folder`; returns the report. A training that was interrupted there goes on from its last checkpoint.

    Raises TrainingFailed with the cause and, where memory ran out, the settings to change.
    """
    request = TrainingRequest(
        base=base,
        train=dataset_file(dataset, "train"),
        validation=dataset_file(dataset, "validation"),
        folder=folder,
        config=config,
        launcher=settings.launcher,
        processes=settings.processes,
        parent=os.getpid(),
    )
    for left in (REPORT, FAILURE):
        (folder / left).unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    _run(context, request)
    for name in WORKING_FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return json.loads((folder / REPORT).read_text(encoding="utf-8"))


def _run(context: dg.AssetExecutionContext, request: TrainingRequest) -> None:
    path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", SCRIPT, str(request.save())]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dagster warns of its own use of its own parts
            dg.PipesSubprocessClient().run(context=context, command=command, env={**QUIET, "PYTHONPATH": path})
    except Exception as error:  # its class is no part of what Dagster exports
        ended = re.search(r"process failed with code (-?\d+)", str(error))  # Dagster tells it in words only
        if ended is None:
            raise
    else:
        return
    raise TrainingFailed(_cause(request, int(ended[1])))  # outside the block: what it replaces says nothing more


def _cause(request: TrainingRequest, code: int) -> str:
    """What the script wrote down, or what its exit code means."""
    written = request.folder / FAILURE
    if written.exists():
        return written.read_text(encoding="utf-8")
    return f"the training {why_it_ended(code, request.config, launched=request.launcher != 'none')}"
