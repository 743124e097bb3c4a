"""A command's run ends with its process, and holds nothing back then."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.pools import LANGUAGE_MODELS
from teams_dagster.cli.project import PROCESS_TAG, close_dead_runs, process_tags


def test_a_run_of_another_machine_is_not_closed_by_the_processes_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        tags = {PROCESS_TAG: f"another-machine {ended.pid}"}
        run = instance.add_run(dg.DagsterRun("regenerate", status=dg.DagsterRunStatus.STARTED, tags=tags))
        close_dead_runs(instance)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.STARTED
        monkeypatch.setattr(socket, "gethostname", lambda: "another-machine")
        assert process_tags() == {PROCESS_TAG: f"another-machine {os.getpid()}"}
        close_dead_runs(instance)
        closed = instance.get_run_by_id(run.run_id)
        assert closed is not None
        assert closed.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("machine", [f"{socket.gethostname()} ", ""], ids=["tagged", "by an earlier version"])
def test_a_run_whose_process_was_killed_has_failed_and_its_place_in_a_pool_is_free(
    tmp_path: Path, machine: str
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.event_log_storage.set_concurrency_slots(LANGUAGE_MODELS, 1)
        killed = dg.DagsterRun(
            job_name="regenerate", status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: f"{machine}{ended.pid}"}
        )
        instance.add_run(killed)
        instance.event_log_storage.claim_concurrency_slot(LANGUAGE_MODELS, killed.run_id, "generated_instructions")
        close_dead_runs(instance)
        found = instance.get_run_by_id(killed.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_info(LANGUAGE_MODELS).active_slot_count == 0
