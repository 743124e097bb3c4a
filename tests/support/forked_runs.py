"""Runs in processes of their own, each forked from one that has imported everything: a second, and not ten.

Set in `dagster.yaml` as `run_launcher`. A run can be killed as the kernel would, and Dagster's run monitoring sees it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import Any, Self

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClass, ConfigurableClassData

_processes = multiprocessing.get_context("forkserver")

_running: dict[str, BaseProcess] = {}

IMPORTED = ["teams_dagster.definitions", "matplotlib.pyplot", "duckdb", "pyarrow.dataset", "peft", "aiohttp", "openai"]


def make_ready() -> None:
    """Have the process that runs are forked from import everything, with the settings of now."""
    _processes.set_forkserver_preload([*IMPORTED, __name__])
    forkserver.ensure_running()


class ForkedRunLauncher(RunLauncher, ConfigurableClass):
    """Starts each run in a process of its own, with the environment of now."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        run_id = context.dagster_run.run_id
        process = _processes.Process(target=_play, args=(run_id, self._instance.get_ref(), dict(os.environ)))
        process.start()
        _running[run_id] = process

    def terminate(self, run_id: str) -> bool:
        _running[run_id].terminate()
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        alive = _running[run.run_id].is_alive()
        return CheckRunHealthResult(WorkerStatus.RUNNING if alive else WorkerStatus.NOT_FOUND, "its process is gone")


def alive() -> list[str]:
    """The ids of the runs whose process lives."""
    return [run_id for run_id, process in _running.items() if process.is_alive()]


def kill(run_id: str) -> None:
    """SIGKILL the process of a run. Raises AssertionError where it had ended by itself."""
    process = _running[run_id]
    assert process.is_alive(), "the run ended before it was killed"
    process.kill()
    process.join()


def kill_all() -> None:
    """Nothing that was started outlives the test."""
    for process in _running.values():
        process.kill()
        process.join()
    _running.clear()


def _play(run_id: str, place: InstanceRef, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    with dg.DagsterInstance.from_ref(place) as instance:
        _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)
