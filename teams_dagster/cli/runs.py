"""Runs in a command's own process: a job of this project's code, with why it failed on standard error."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from teams_dagster.cli.project import close_dead_runs, process_tags, say, wrong_config
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


def run_job(
    settings: Settings, name: str, run_config: dict[str, Any], *, partition: str | None = None
) -> dg.ExecuteInProcessResult:
    """The result of a job, run here; its log goes to standard error, and so does why a step failed.

    Args:
        settings: The project's; `prepare_home` has been called.
        name: The job.
        run_config: The run configuration, whole.
        partition: The generation, for a job that has them.

    Raises ClickException for a configuration that cannot be used.
    """
    import dagster as dg

    from teams_dagster.automation.runs import step_failures
    from teams_dagster.definitions import definitions

    job = definitions(settings).resolve_job_def(name)
    with dg.DagsterInstance.get() as instance, redirect_stdout(sys.stderr):
        close_dead_runs(instance)
        try:
            result = job.execute_in_process(
                instance=instance,
                partition_key=partition,
                run_config={"loggers": {"console": {"config": {}}}, **run_config},
                tags=process_tags(),
                raise_on_error=False,
            )
        except dg.DagsterInvalidConfigError as error:
            raise wrong_config(error) from None
    for failure in step_failures(result.get_step_failure_events()):
        say(f"\n{failure.step}: {failure.reason}", err=True)
    return result
