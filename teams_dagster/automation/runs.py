"""Runs as automation knows them: their tags, which have not ended, and why steps failed."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

PARTITION = "dagster/partition"
"""Run tag: the partition of a run, as Dagster names it."""

BATCHES = "teams/batches"
"""Run tag: which batches a run was launched for."""

ROOT, RETRY = "dagster/root_run_id", "dagster/retry_number"
"""Run tags of a run that Dagster launched because another had failed: the first one's id, and the how many-th it is."""

ALERTED = "teams/alerted"
"""Run tag: the run with whose failure people were told, and a hash of what they were told."""

AD_HOC = "__ASSET_JOB"
"""The job of runs whose assets were picked by hand, as Dagster names it."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that have not ended."""


def under_way(instance: dg.DagsterInstance, job_names: Sequence[str]) -> dg.DagsterRun | None:
    """A run of one of these jobs that has not ended; None where all have."""
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if run.job_name in job_names:
            return run
    return None


_CLASS_PATH = re.compile(r"\A(?:\w+\.)+\w+: ")
"""How Dagster begins an error's message. A built-in error's name has no dots, and stays: its message may say little."""

UNKNOWN = "no reason was recorded"


@dataclass(frozen=True)
class StepFailure:
    """A step that failed."""

    step: str
    reason: str
    """What the error says, the advice with it, without the path of its class."""
    kinds: frozenset[str]
    """Names of the classes of the error, and of those that led to it."""
    traceback: str
    """Of the error and of what led to it; empty where none was recorded."""


def step_failures(events: Iterable[dg.DagsterEvent]) -> list[StepFailure]:
    """What failed each step, of the events that say so."""
    return [_step_failure(event) for event in events]


def _step_failure(event: dg.DagsterEvent) -> StepFailure:
    """The advice is in what the project raised, not in what Dagster wraps it in, nor in what led to it."""
    data = event.step_failure_data
    chain = [*_chain(data.error)]
    raised = next((error for error in chain if not (error.cls_name or "").startswith("Dagster")), None)
    raised = raised or (chain[0] if chain else None)
    said = data.user_failure_data.description if data.user_failure_data is not None else None
    said = said or (_CLASS_PATH.sub("", raised.message.strip()) if raised is not None else UNKNOWN)
    kinds = frozenset((error.cls_name or "").rpartition(".")[2] for error in chain)
    return StepFailure(event.step_key or "", said, kinds, raised.to_string() if raised is not None else "")


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """An error, and what led to it."""
    while error is not None:
        yield error
        error = error.cause
