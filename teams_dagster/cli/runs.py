"""Runs in a command's own process: how they are known, and closed when their process is gone."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

PROCESS_TAG = "teams/process"
"""Run tag: the process that a run is made in."""


def process_tags() -> dict[str, str]:
    """The tags of a run in this process."""
    return {PROCESS_TAG: str(os.getpid())}


def close_dead_runs(instance: "dg.DagsterInstance") -> None:
    """Mark runs as failed whose process was killed: nobody else would, without the daemon."""
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        process = run.tags.get(PROCESS_TAG)
        if process and not _alive(int(process)):
            instance.report_run_failed(run, f"its process {process} was killed; a later run continues its work")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
