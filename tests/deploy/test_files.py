"""The files of a shared deployment agree with each other and with the project."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.load import location_origins_from_yaml_paths

import teams_dagster
from tests.support.commands import ROOT
from tests.support.image import DOCKERFILE, command_of_image, lay_out

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
HELM: dict[str, Any] = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text(encoding="utf-8"))


@pytest.mark.skipif(importlib.util.find_spec("check_jsonschema") is None, reason="check-jsonschema is not installed")
def test_compose_is_valid_by_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_only_the_code_server_is_given_the_projects_settings() -> None:
    with_keys = {name for name, service in COMPOSE["services"].items() if "env_file" in service}
    assert with_keys == {"code"}


def test_compose_publishes_nothing_beyond_this_machine() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_dagsters_history_is_reached_by_the_driver_that_dagster_knows() -> None:
    """SQLAlchemy 2.1 takes another one for plain `postgresql://`, whose connections Dagster finds closed."""
    url = COMPOSE["services"]["daemon"]["environment"]["DAGSTER_POSTGRES_URL"]
    assert url.startswith("postgresql+psycopg2://")
    assert HELM["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_every_file_names_this_version() -> None:
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    images = {service["image"] for name, service in COMPOSE["services"].items() if name != "postgres"}
    assert images == {f"teams-dagster:{teams_dagster.__version__}"}
    assert deployment["image"]["tag"] == teams_dagster.__version__


def test_the_charts_version_is_dagsters() -> None:
    pinned = re.search(r"^dagster==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    told = re.search(r"--version (\S+)", (DEPLOY / "helm-values.yaml").read_text(encoding="utf-8"))
    assert pinned is not None
    assert told is not None
    assert pinned[1] == told[1]


def test_the_image_and_the_chart_start_the_same_code_server() -> None:
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    command = command_of_image()
    assert command[-2:] == deployment["codeServerArgs"]
    assert command[command.index("-p") + 1] == str(deployment["port"])


def test_the_workspace_is_one_that_dagster_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_SERVER_HOST", "code")
    monkeypatch.setenv("CODE_SERVER_PORT", "4000")
    [origin] = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    assert origin.location_name == "teams_dagster"


@pytest.mark.skipif(importlib.util.find_spec("dagster_postgres") is None, reason="the extra `shared` is missing")
def test_the_instance_is_one_that_dagster_loads(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_bytes((DEPLOY / "dagster.yaml").read_bytes())
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["storage"] == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}


def test_it_keeps_what_the_installation_of_one_machine_sets() -> None:
    small, shared = (
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "dagster.yaml", DEPLOY / "dagster.yaml")
    )
    assert {name: shared.get(name) for name in small} == small


def entered(folder: Path, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """What the image's entry point does in a container with these settings, started from any folder."""
    image = lay_out(folder / "image")
    (folder / "elsewhere").mkdir()
    return subprocess.run(
        [str(image / "deploy" / "entrypoint.sh"), "echo", "begun"],
        cwd=folder / "elsewhere",
        env={"PATH": os.environ["PATH"], "DAGSTER_HOME": str(home), **settings},
        capture_output=True,
        text=True,
    )


def test_the_entry_point_puts_the_instance_where_dagster_looks_for_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("# of an earlier version", encoding="utf-8")
    assert entered(tmp_path, home, DAGSTER_POSTGRES_URL="postgresql+psycopg2://here").stdout == "begun\n"
    assert (home / "dagster.yaml").read_bytes() == (DEPLOY / "dagster.yaml").read_bytes()


def test_the_entry_point_writes_nothing_where_the_chart_has_its_own_instance(tmp_path: Path) -> None:
    """The chart's folder does not exist in the code server's container, and is read-only in a run's."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    begun = entered(tmp_path, tmp_path / "file" / "home")
    assert (begun.stdout, begun.stderr) == ("begun\n", "")


def test_the_chart_frees_the_places_of_killed_runs_as_soon_as_compose_does() -> None:
    shared = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))["run_monitoring"]
    chart = HELM["dagsterDaemon"]["runMonitoring"]
    assert chart["pollIntervalSeconds"] == shared["poll_interval_seconds"]
    assert chart["freeSlotsAfterRunEndSeconds"] == shared["free_slots_after_run_end_seconds"]


def test_code_server_and_runs_of_the_chart_can_write_the_data_folder() -> None:
    uid = re.search(r"--uid (\d+)", DOCKERFILE.read_text(encoding="utf-8"))
    assert uid is not None
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    runs = HELM["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    groups = [deployment["podSecurityContext"]["fsGroup"], runs["securityContext"]["fsGroup"]]
    assert groups == [int(uid[1])] * 2
