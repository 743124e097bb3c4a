"""Training a model beside a step, in a process of its own: on this machine, or on a Ray cluster."""

import re
import warnings
from typing import Any

import dagster as dg

from resources.ray_cluster import JobEnded, job_of, train_on
from teams_dagster.settings import load_settings
from teams_dagster.student.adapter_config import ProcessRequest
from teams_dagster.student.training_run import (
    failed_job,
    failed_training,
    finished_training,
    training_command,
    training_environment,
)


def cluster_of_trainings() -> str | None:
    """The Ray cluster that trainings are jobs of; None where they are processes of this machine."""
    settings = load_settings()
    return settings.ray_address if settings.ray_runs == "trainings" else None


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
    if (address := cluster_of_trainings()) is not None:
        return _train_on_cluster(context, address, request, script, advice, launched=launched)
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


def _train_on_cluster(
    context: dg.AssetExecutionContext,
    address: str,
    request: ProcessRequest,
    script: str,
    advice: str,
    *,
    launched: bool,
) -> dict[str, Any]:
    """The same as a job of the cluster at `address`, whose nodes see the data folder."""
    command = training_command(request.model_copy(update={"parent": None}), script)
    job = job_of(command, training_environment(), context.op_def.tags, request.folder)
    try:
        train_on(address, context, job)
    except JobEnded as error:
        ended = error
    else:
        return finished_training(request)
    raise failed_job(request, ended.exit_code, str(ended), advice, launched=launched)
