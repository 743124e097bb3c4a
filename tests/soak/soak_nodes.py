"""Machines of a cluster, imitated by namespaces of their own for processes and host names, one of which is lost.

They share a ledger on PostgreSQL and outputs in object storage, and nothing on disk. Named so that no ordinary test run
collects it (`make soak`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from teams_dagster.ledger.owners import LEASE_S
from tests.support import object_storage, postgres, served_rules
from tests.support.commands import ROOT
from tests.support.openai_server import OpenAIServer
from tests.support.processes import until

IN_FLIGHT = 16
KILLED_AFTER = 150
"""Requests after which the first machine is lost."""

MOST_S = 120.0
"""How long after the lease of a lost machine the run may take to end."""

NODE = """
import sys
from pathlib import Path

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.seeds import seed_instructions
from tests.support.object_storage import URL
from tests.support.project import Project

project = Project(Path(sys.argv[1]), shared=URL)
steered = {"policy": "uniform", "seeds": 40}
made = (generated_instructions, expert_responses)
done = project.make(seed_instructions) and project.make(*made, week="2026-11-02", generated_instructions=steered)
print(project.version("expert_responses", "2026-11-02") if done else "failed")
"""


class Cluster:
    """What machines share, and the environment that says so."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        self.server = stack.enter_context(OpenAIServer(served_rules.answer, latency_s=0.02))
        self.ledger = postgres.new_database(stack.enter_context(postgres.cluster()))
        storage = stack.enter_context(object_storage.serving())
        object_storage.empty_bucket(storage)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("TEAMS_", "DAGSTER"))}
        self.environment = {
            **plain,
            **object_storage.credentials(storage),
            "TEAMS_LEDGER_URL": self.ledger,
            "TEAMS_MODEL": "m",
            "TEAMS_BASE_URL": self.server.base_url,
            "TEAMS_MAX_IN_FLIGHT": str(IN_FLIGHT),
            "TEAMS_WORKERS": "2",
            "TEAMS_PREFLIGHT": "off",
            "TEAMS_EXPERT_STRUCTURED": "off",
            "TEAMS_REVIEWER_STRUCTURED": "off",
        }

    def node(self, name: str) -> subprocess.Popen[str]:
        """Begin the generation on the machine `name`, which ends with the process that is returned."""
        data = self.folder / name
        script = f'hostname {name}; exec "$0" -c "$1" "$2"'
        namespaces = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        command = [*namespaces, "sh", "-c", script, sys.executable, NODE, str(data)]
        environment = self.environment | {"TEAMS_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.ledger) as connection:
            return connection.execute(query).fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if subprocess.run(["unshare", "--pid", "--uts", "--fork", "true"], check=False).returncode:
        pytest.skip("namespaces cannot be made here (they want root)")
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path)


def said(process: subprocess.Popen[str]) -> str:
    """The version of the answers that a machine made."""
    output, _ = process.communicate(timeout=900)
    return output.strip().splitlines()[-1]


def test_a_machine_that_is_lost_costs_no_answer_and_its_run_ends_on_another(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = cluster.node("node-a")
    until(lambda: cluster.server.count >= KILLED_AFTER, 300)
    lost.kill()
    lost.wait()
    at = time.monotonic()
    version = said(cluster.node("node-b"))
    took = time.monotonic() - at
    assert version != "failed"
    asked = Counter(json.dumps([body["messages"], body.get("seed")]) for body in cluster.server.received)
    twice = sum(count - 1 for count in asked.values())
    assert twice <= IN_FLIGHT
    [(attempts, unresolved)] = cluster.rows(
        "select count(*), count(*) filter (where results.request_id is null)"
        " from attempts left join results using (request_id)"
    )
    assert attempts == cluster.server.count
    assert unresolved == twice
    assert took < LEASE_S + MOST_S
    paid = cluster.server.count
    assert said(cluster.node("node-c")) == version
    assert cluster.server.count == paid
    with capsys.disabled():
        print(
            f"\nlost after {KILLED_AFTER} requests: {paid:,} requests, {twice} asked twice, {unresolved} unresolved;"
            f" another machine was done {took:.0f} s later, and a third asked nothing"
        )
