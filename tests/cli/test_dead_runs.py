"""A command's run ends with its process, and holds nothing back then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg

from assets.pools import LANGUAGE_MODELS
from teams_dagster.cli.project import PROCESS_TAG, close_dead_runs


def test_a_run_whose_process_was_killed_has_failed_and_its_place_in_a_pool_is_free(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.event_log_storage.set_concurrency_slots(LANGUAGE_MODELS, 1)
        killed = dg.DagsterRun(
            job_name="regenerate", status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: str(ended.pid)}
        )
        instance.add_run(killed)
        instance.event_log_storage.claim_concurrency_slot(LANGUAGE_MODELS, killed.run_id, "generated_instructions")
        close_dead_runs(instance)
        found = instance.get_run_by_id(killed.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_info(LANGUAGE_MODELS).active_slot_count == 0
