"""What the UI cancels, or the system kills, asks nothing more, holds nothing back, and is gone on with later."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient

from assets.dataset.generated_instructions import generated_instructions
from assets.pools import LANGUAGE_MODELS
from assets.seeds import seed_instructions
from teams_dagster.automation.jobs import dataset
from teams_dagster.automation.runs import PARTITION
from teams_dagster.cli.project import prepare_home
from teams_dagster.settings import load_settings
from tests.support import served_rules
from tests.support.commands import ROOT
from tests.support.openai_server import OpenAIServer
from tests.support.processes import ends, free_port, until
from tests.support.project import Project

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

LATENCY_S, IN_FLIGHT = 0.25, 4
PATIENCE_S = 600.0
CONFIG = {"seeds": 6, "policy": "uniform"}
CANCELLED, KILLED, AFTER = "2026-01-05", "2026-01-12", "2026-01-19"


@dataclass
class Served:
    """The UI, and the endpoint that its runs ask."""

    data: Path
    server: OpenAIServer
    client: DagsterGraphQLClient
    instance: dg.DagsterInstance
    settings: dict[str, str]

    def launch(self, week: str, config: dict[str, Any] = CONFIG) -> str:
        """A run that asks, once it has asked a few times."""
        asked = self.server.count
        run_id = self.client.submit_job_execution(
            dataset.name,
            run_config={"ops": {"generated_instructions": {"config": config}}},
            tags={PARTITION: week},
            asset_selection=["seed_instructions", "generated_instructions"],
        )
        until(lambda: self.server.count >= asked + 2 * IN_FLIGHT, PATIENCE_S, every_s=0.02)
        return run_id

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        """How a run ends."""
        until(lambda: self._run(run_id).is_finished, PATIENCE_S, every_s=0.2)
        return self._run(run_id).status

    def process_of(self, run_id: str) -> int:
        """The process that a run is made in."""
        said = "\n".join(entry.message for entry in self.instance.all_logs(run_id))
        found = re.search(r"Executing steps in process \(pid: (\d+)\)", said)
        assert found is not None, said
        return int(found[1])

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One place in the pool of endpoints, so that a run that held it for ever would be seen."""
    data, server = tmp_path_factory.mktemp("data"), OpenAIServer(served_rules.answer, latency_s=LATENCY_S)
    with pytest.MonkeyPatch.context() as settings, server:
        for name in [name for name in os.environ if name.startswith(("TEAMS_", "DAGSTER_"))]:
            settings.delenv(name)
        told = {"TEAMS_DATA_DIR": str(data), "TEAMS_PREFLIGHT": "off", "TEAMS_MAX_IN_FLIGHT": str(IN_FLIGHT)}
        for role in ("EXPERT", "REVIEWER", "INSTRUCTOR"):
            told |= {f"TEAMS_{role}_MODEL": "served", f"TEAMS_{role}_BASE_URL": server.base_url}
            told |= {f"TEAMS_{role}_STRUCTURED": "off"}
        for name, value in {**told, "PYTHONPATH": str(ROOT)}.items():
            settings.setenv(name, value)
        prepare_home(load_settings(ROOT))
        with dg.DagsterInstance.get() as instance, a_ui() as client:
            instance.event_log_storage.set_concurrency_slots(LANGUAGE_MODELS, 1)
            yield Served(data, server, client, instance, told)


class a_ui:  # noqa: N801 - reads as what it is
    """`teams ui` on a free port, ended with what it started."""

    def __enter__(self) -> DagsterGraphQLClient:
        port = free_port()
        program = "from teams_dagster.cli import main; main()"
        command = [sys.executable, "-c", program, "ui", "--port", str(port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return DagsterGraphQLClient("127.0.0.1", port_number=port)
            except ConnectionError:
                assert self._process.poll() is None, "teams ui has ended"
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def test_a_run_that_is_cancelled_in_the_ui_sends_nothing_more_and_is_gone_on_with(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = served.launch(CANCELLED)
    process = served.process_of(run_id)
    served.client.terminate_run(run_id)
    assert served.ended(run_id) is dg.DagsterRunStatus.CANCELED
    asked = served.server.count
    assert ends(process, PATIENCE_S)
    assert served.server.count == asked, "asked after it was cancelled"
    for name, value in served.settings.items():
        monkeypatch.setenv(name, value)
    project = Project(served.data)
    assert project.make(seed_instructions)
    assert project.make(generated_instructions, week=CANCELLED, generated_instructions=CONFIG)
    sent = Counter(json.dumps([body["messages"], body.get("seed")]) for body in served.server.received)
    assert set(sent.values()) == {1}, "what was answered is paid once"
    assert asked < sent.total(), "it had asked everything before it was cancelled"


def test_a_run_that_is_killed_ends_and_lets_the_next_one_into_its_pool(served: Served) -> None:
    killed = served.launch(KILLED)
    os.kill(served.process_of(killed), signal.SIGKILL)
    assert served.ended(killed) is dg.DagsterRunStatus.FAILURE
    after = served.launch(AFTER)
    served.client.terminate_run(after)
    assert served.ended(after) is dg.DagsterRunStatus.CANCELED
