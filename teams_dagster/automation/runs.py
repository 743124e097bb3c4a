"""Runs as automation knows them: their tags, and which have not ended."""

from collections.abc import Sequence

import dagster as dg

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
