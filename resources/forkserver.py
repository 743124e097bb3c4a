"""The process that the steps of job `demo` are forked from. Imports nothing heavy, so that it can be started first."""

import multiprocessing
from multiprocessing import forkserver

IMPORTED_ONCE = [
    *("resources.no_orphans", "teams_dagster.cli.demo_job"),
    *("dagster._core.storage.runs", "dagster._core.storage.event_log", "dagster._core.storage.schedules"),
    *("dagster._core.storage.local_compute_log_manager", "dagster._daemon.daemon", "sqlalchemy.dialects.sqlite"),
    *("duckdb", "pyarrow.dataset", "pyarrow.parquet", "matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("torch._dynamo", "peft", "transformers.models.llama.modeling_llama"),
]
"""What most steps import. A step is forked from a process that has it all: that takes a third of a second, not five."""


def start_forkserver() -> None:
    """Start it now, with this process's environment: it imports while this process goes on with something else.

    Dagster's executor, which would start it with the first step, finds it running.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED_ONCE)
    forkserver.ensure_running()
