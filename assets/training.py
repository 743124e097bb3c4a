"""Training a model beside a step, in a process of its own."""

import re
import warnings
from typing import Any

import dagster as dg

from teams_dagster.student.adapter_config import ProcessRequest
from teams_dagster.student.training_run import (
    failed_training,
    finished_training,
    training_command,
    training_environment,
)


def train_beside(
    context: dg.AssetExecutionContext, request: ProcessRequest, script: str, advice: str, *, launched: bool = False
) -> dict[str, Any]:
    """Train by the module `script` beside this process, whose log shows what the training says; returns its report.

    Args:
        advice: Which settings take less memory, where that runs out.
        launched: Whether the script starts a launcher of several processes.

    Raises:
        TrainingFailed: The training ended without a model.
    """
    command = training_command(request, script)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dagster warns of its own use of its own parts
            dg.PipesSubprocessClient().run(context=context, command=command, env=training_environment())
    except Exception as error:  # its class is no part of what Dagster exports
        ended = re.search(r"process failed with code (-?\d+)", str(error))  # Dagster tells it in words only
        if ended is None:
            raise
    else:
        return finished_training(request)
    raise failed_training(request, int(ended[1]), advice, launched=launched)  # outside: what it replaces says no more
