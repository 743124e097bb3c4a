"""The files of a shared deployment agree with each other and with the project."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.workspace.load import location_origins_from_yaml_paths

import teams_dagster
from teams_dagster.core.protocol import Role
from teams_dagster.settings import load_settings
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


def test_webserver_and_daemon_of_the_chart_are_processes_of_the_same_image() -> None:
    """The chart's own would bring another user, who owns what it writes, and its own versions of the libraries."""
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    for service in ("dagsterWebserver", "dagsterDaemon"):
        assert HELM[service].get("image") == deployment["image"], service


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


@pytest.mark.parametrize(
    "settings",
    [{}, {"DAGSTER_POSTGRES_URL": "postgresql+psycopg2://here", "DAGSTER_RUN_JOB_NAME": "retrain"}],
    ids=["without an address", "a run"],
)
def test_the_entry_point_writes_nothing_where_the_chart_has_its_own_instance(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """The chart's folder does not exist in the image, and its user cannot make it; a run is given the instance."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    begun = entered(tmp_path, tmp_path / "file" / "home", **settings)
    assert (begun.stdout, begun.stderr) == ("begun\n", "")


def test_the_chart_sets_the_instance_that_compose_has() -> None:
    shared = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
    daemon = HELM["dagsterDaemon"]
    monitoring = {
        re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name): value
        for name, value in daemon["runMonitoring"].items()
    }
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert shared["run_monitoring"].items() <= monitoring.items()
    assert queue["maxConcurrentRuns"] == shared["concurrency"]["runs"]["max_concurrent_runs"]
    assert HELM["telemetry"] == shared["telemetry"]
    assert HELM["additionalInstanceConfig"] == {"nux": shared["nux"]}
    assert HELM["pythonLogs"] == {"pythonLogLevel": shared["python_logs"]["python_log_level"]}


def test_what_a_step_prints_is_where_the_webservers_of_the_chart_look_for_it() -> None:
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    webserver, logs = HELM["dagsterWebserver"], HELM["computeLogManager"]["config"]["customComputeLogManager"]
    assert issubclass(getattr(importlib.import_module(logs["module"]), logs["class"]), ComputeLogManager)
    assert logs["config"]["base_dir"] == f"{deployment['env']['DAGSTER_HOME']}/storage"
    for key in ("volumes", "volumeMounts"):
        assert webserver[key] == deployment[key], key
    [mount] = deployment["volumeMounts"]
    assert Path(logs["config"]["base_dir"]).is_relative_to(mount["mountPath"])


def test_the_image_of_the_chart_is_configured_as_compose_configures_it() -> None:
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    [line] = re.findall(r"^ENV (.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    image = dict(word.split("=", 1) for word in line.split())
    for name in ("TEAMS_DATA_DIR", "DAGSTER_HOME"):
        assert deployment["env"][name] == image[name], name


def test_the_charts_webserver_is_asked_whether_it_is_ready_where_it_listens() -> None:
    webserver = HELM["dagsterWebserver"]
    assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"]
    assert webserver["service"]["port"] >= 1024


def test_the_settings_that_the_chart_gives_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    secrets = {"TEAMS_LEDGER_URL": "postgresql://teams:secret@postgres.example.org/ledger", "TEAMS_API_KEY": "your-key"}
    for name, value in {**deployment["env"], **secrets, "TEAMS_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(tmp_path)
    assert settings.budget_usd == float(deployment["env"]["TEAMS_BUDGET_USD"])
    assert settings.configured == tuple(Role)


CHART = {
    (): "global postgresql generatePostgresqlPasswordSecret telemetry pythonLogs additionalInstanceConfig"
    " computeLogManager dagsterWebserver dagsterDaemon runLauncher dagster-user-deployments",
    ("dagsterDaemon", "runMonitoring"): "enabled startTimeoutSeconds cancelTimeoutSeconds maxRuntimeSeconds"
    " maxResumeRunAttempts pollIntervalSeconds freeSlotsAfterRunEndSeconds",
    ("runLauncher", "config", "k8sRunLauncher", "runK8sConfig"): "containerConfig podSpecConfig"
    " podTemplateSpecMetadata jobSpecConfig jobMetadata",
    ("dagster-user-deployments", "deployments", 0): "name image codeServerArgs port podSecurityContext"
    " includeConfigInLaunchedRuns env envSecrets volumes volumeMounts",
}
"""What the chart reads in these places, as far as it is of use here: Helm says nothing of a key that is never read."""


@pytest.mark.parametrize("place", CHART, ids=str)
def test_the_chart_reads_every_value(place: tuple[Any, ...]) -> None:
    values: Any = HELM
    for part in place:
        values = values[part]
    assert set(values) <= set(CHART[place].split())


def test_the_tag_for_a_gpu_keeps_the_run_its_memory() -> None:
    """The tag's resources take the place of the run launcher's."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    [tag] = re.findall(r"^dagster-k8s/config: (\{.+?)^```", page, re.MULTILINE | re.DOTALL)
    resources = json.loads(tag)["container_config"]["resources"]
    launcher = HELM["runLauncher"]["config"]["k8sRunLauncher"]["resources"]
    for kind in launcher:
        assert set(launcher[kind]) <= set(resources.get(kind, {})), kind
    assert json.loads(tag)["pod_spec_config"]["tolerations"]


def test_code_server_webservers_and_runs_of_the_chart_can_write_the_data_folder() -> None:
    uid = re.search(r"--uid (\d+)", DOCKERFILE.read_text(encoding="utf-8"))
    assert uid is not None
    [deployment] = HELM["dagster-user-deployments"]["deployments"]
    runs = HELM["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    contexts = [
        deployment["podSecurityContext"],
        runs["securityContext"],
        HELM["dagsterWebserver"]["podSecurityContext"],
    ]
    assert [context["fsGroup"] for context in contexts] == [int(uid[1])] * 3
