"""Webserver, viewer, daemon and code server: processes of their own on one PostgreSQL, their outputs in S3."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import pytest
import yaml
from fsspec import AbstractFileSystem

from tests.support import object_storage, postgres
from tests.support.commands import ROOT
from tests.support.image import command_of_image, lay_out
from tests.support.processes import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)"),
    pytest.mark.skipif(importlib.util.find_spec("dagster_postgres") is None, reason="the extra `shared` is missing"),
    pytest.mark.timeout(1_800),
]

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]

PATIENCE_S = 900.0

WEEK = "2026-11-02"

LAUNCH = """
mutation launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""

STATUS = "query status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@dataclass
class Deployment:
    """Its addresses."""

    webserver: str
    viewer: str
    ledger_url: str
    data: Path
    bucket: AbstractFileSystem
    """Where outputs are shared."""

    def ask(self, address: str, query: str, **variables: Any) -> dict[str, Any]:
        """GraphQL, as the UI speaks it."""
        answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=300)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def launch(self, address: str) -> dict[str, Any]:
        """Ask for a small generation steered by no policy, on the embedded rules."""
        assets = ("seed_instructions", "generated_instructions")
        selector = {
            "repositoryLocationName": "teams_dagster",
            "repositoryName": "__repository__",
            "jobName": "dataset",
            "assetSelection": [{"path": [asset]} for asset in assets],
            "assetCheckSelection": [],
        }
        params = {
            "selector": selector,
            "runConfigData": {"ops": {"generated_instructions": {"config": {"policy": "uniform", "seeds": 6}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": WEEK}]},
        }
        return self.ask(address, LAUNCH, params=params)["launchRun"]


def with_driver(url: str) -> str:
    """As compose writes it."""
    scheme, _, _ = SERVICES["daemon"]["environment"]["DAGSTER_POSTGRES_URL"].partition("://")
    return f"{scheme}://{url.partition('://')[2]}"


def command_of(service: str, port: int) -> list[str]:
    """What compose starts, on loopback and a port that is free here."""
    words: list[str] = SERVICES[service].get("command") or command_of_image()
    named = {"0.0.0.0": "127.0.0.1", "3000": str(port), "3001": str(port), "4000": str(port)}
    program, *arguments = [named.get(word, word) for word in words]
    return [str(Path(sys.executable).with_name(program)), *arguments]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    image, data = lay_out(folder / "image"), folder / "data"
    ports = {service: free_port() for service in ("code", "webserver", "viewer", "daemon")}
    with ExitStack() as stack:
        address = stack.enter_context(postgres.cluster())
        history, ledger = postgres.new_database(address), postgres.new_database(address)
        storage = stack.enter_context(object_storage.serving())
        bucket = object_storage.empty_bucket(storage)
        elsewhere = {"TEAMS_LEDGER_URL": ledger, "TEAMS_ARTEFACTS_URL": object_storage.URL}
        elsewhere |= object_storage.credentials(storage)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAMS_", "DAGSTER"))}
        environment |= {"DAGSTER_HOME": str(data / "dagster"), "DAGSTER_POSTGRES_URL": with_driver(history)}
        environment |= {"CODE_SERVER_HOST": "127.0.0.1", "CODE_SERVER_PORT": str(ports["code"])}
        environment |= {"PYTHONPATH": os.pathsep.join([str(image), *sys.path[1:]]), "OMP_NUM_THREADS": "1"}
        processes: list[subprocess.Popen[bytes]] = []
        for service, port in ports.items():
            keys = {"TEAMS_DATA_DIR": str(data), "TEAMS_PREFLIGHT": "off", **elsewhere}
            log = stack.enter_context((folder / f"{service}.log").open("w"))
            started = subprocess.Popen(
                [str(image / "deploy" / "entrypoint.sh"), *command_of(service, port)],
                cwd=image,
                env=environment | (keys if service == "code" else {}),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(stop, started)
            processes.append(started)
            if service == "code":
                wait(folder, lambda port=port: listens(port))
        webserver, viewer = (f"http://127.0.0.1:{ports[name]}" for name in ("webserver", "viewer"))
        wait(folder, lambda: all(listens(ports[name]) for name in ("webserver", "viewer")))
        yield Deployment(webserver, viewer, ledger, data, bucket)
        for process in processes:  # together: each takes some seconds to end
            process.terminate()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(folder: Path, condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        logs = "\n".join(f"{log.name}: {log.read_text()[-800:]}" for log in folder.glob("*.log"))
        assert time.monotonic() < deadline, logs
        time.sleep(0.5)


def test_the_viewer_shows_and_starts_nothing(deployment: Deployment) -> None:
    assert deployment.launch(deployment.viewer)["__typename"] == "UnauthorizedError"


def test_a_run_goes_from_the_webserver_through_the_queue_to_the_shared_ledger(deployment: Deployment) -> None:
    launched = deployment.launch(deployment.webserver)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def status() -> str:
        return deployment.ask(deployment.viewer, STATUS, id=run_id)["runOrError"]["status"]

    wait(deployment.data.parent, lambda: status() in ("SUCCESS", "FAILURE", "CANCELED"))
    assert status() == "SUCCESS"
    with psycopg.connect(deployment.ledger_url) as connection:
        [(answered,)] = connection.execute("select count(*) from answers").fetchall()
    assert answered > 0
    assert (deployment.data / "teams.duckdb").is_file()
    assert not (deployment.data / "ledger.sqlite").exists()
    uploaded = {path.removeprefix("bucket/project/") for path in deployment.bucket.find(object_storage.URL)}
    outputs = (deployment.data / "assets").glob("**/manifest.json")
    assert {path.relative_to(deployment.data).as_posix() for path in outputs} <= uploaded
