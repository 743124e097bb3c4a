"""A Ray cluster whose jobs trainings, or all steps of a run, are: dagster-ray's Pipes client and its executor."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from teams_dagster.settings import Settings, plain_variables

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient  # pyright: ignore[reportMissingImports]

NEEDS = "dagster-ray/config"
"""The op tag in which dagster-ray's executor reads what a step needs."""

TRAINS_IN = "teams/trains_in"
"""Metadata of a training's job: the folder it writes to."""

PROCESSORS = 1
"""Processors that a job sets apart: with none, a node would get every step at once."""

STOPPED_WITHIN_S = 60.0
"""How long a job that is told to stop may take: Ray kills it after three seconds."""


class JobEnded(Exception):
    """A training's job that ended otherwise than well.

    `exit_code` is None where its process did not get to end: it was stopped, never began, or its node was lost.
    """

    def __init__(self, job: str, status: str, exit_code: int | None, message: str) -> None:
        self.job, self.status, self.exit_code, self.message = job, status, exit_code, message
        super().__init__(f"Ray job {job} {status}: {message}")


def gpu_tags(gpus: float) -> dict[str, str]:
    """Op tags of a step that trains or scores students, for which the cluster sets `gpus` apart."""
    return {NEEDS: json.dumps({"num_gpus": gpus})} if gpus else {}


def job_of(command: Sequence[str], env: Mapping[str, str], tags: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What is submitted to train in `folder`: `command` with what the tags of its op need."""
    needs = json.loads(tags.get(NEEDS, "{}"))
    return {
        "submission_id": f"teams-training-{uuid4().hex[:12]}",
        "entrypoint": shlex.join(command),
        "entrypoint_num_cpus": PROCESSORS,
        "entrypoint_num_gpus": needs.get("num_gpus"),
        "runtime_env": {"env_vars": dict(env)},
        "metadata": {TRAINS_IN: str(folder)},
    }


def train_on(address: str, context: dg.AssetExecutionContext, job: dict[str, Any]) -> None:
    """Run a training's job (`job_of`) on the cluster at `address`; the run's log shows what it says.

    A job of a step that was killed may still train in the same folder: it is stopped first. Raises JobEnded.
    """
    from dagster_ray import PipesRayJobClient  # pyright: ignore[reportMissingImports]

    pipes = PipesRayJobClient(address=address)
    _stop_earlier(pipes.client, job["metadata"][TRAINS_IN], context)
    try:
        pipes.run(context=context, submit_job_params=job)
    except RuntimeError as error:  # its class is that of any other
        ended = pipes.client.get_job_info(job["submission_id"])
        if not ended.status.is_terminal():
            raise
        raise JobEnded(job["submission_id"], str(ended.status), ended.driver_exit_code, ended.message) from error


def _stop_earlier(client: JobSubmissionClient, folder: str, context: dg.AssetExecutionContext) -> None:
    """Stop what still trains in `folder`. Raises TimeoutError."""
    for earlier in client.list_jobs():
        if earlier.submission_id is None or (earlier.metadata or {}).get(TRAINS_IN) != folder:
            continue
        if earlier.status.is_terminal():
            continue
        context.log.info(f"stopping Ray job {earlier.submission_id}, which trains here for a step that is gone")
        client.stop_job(earlier.submission_id)
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while not client.get_job_status(earlier.submission_id).is_terminal():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"Ray job {earlier.submission_id} trains in {folder} and does not end: `ray job stop"
                    f" {earlier.submission_id}`, then run the step again"
                )
            time.sleep(0.5)


def step_variables(settings: Settings) -> list[str]:
    """The environment of a step on a node, `NAME=value` each: the settings that hold no secret, and where Dagster is.

    A step is begun by the plain word `dagster`, which a node that was started by Ray's whole path would not find.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}${{PATH}}"  # Ray puts the node's own in
    variables = {**plain_variables(settings.root), "DAGSTER_HOME": str(settings.dagster_home), "PATH": path}
    return [f"{name}={value}" for name, value in sorted(variables.items())]


def steps_executor(settings: Settings) -> dg.ExecutorDefinition | None:
    """What makes each step of a job a job of the cluster; None where steps run on this machine.

    Keys and the ledger's address are those of the nodes' environment: whoever sees the cluster's dashboard sees what is
    sent. GPUs are never set here: dagster-ray would prefer them to those of an op's tag.
    """
    if settings.ray_address is None or settings.ray_runs != "steps":
        return None
    from dagster_ray import ray_executor  # pyright: ignore[reportMissingImports]

    ray = {"address": settings.ray_address, "num_cpus": PROCESSORS, "env_vars": step_variables(settings)}
    return ray_executor.configured({"ray": ray}, name="ray_steps")
