"""The settings of a Ray cluster: refused where it cannot be used, and what of the settings its nodes are given."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from teams_dagster import ray_settings
from teams_dagster.settings import Settings, SettingsError, load_settings, plain_variables

ADDRESS = "http://ray.example.org:8265"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra `ray` is installed."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(ray_settings, "find_spec", lambda name: ModuleSpec(name, None))


def configured(root: Path, monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    return load_settings(root)


def refusal(root: Path, monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    with pytest.raises(SettingsError) as refused:
        configured(root, monkeypatch, **values)
    return str(refused.value).splitlines()[0]


def test_by_default_there_is_no_cluster(tmp_path: Path) -> None:
    assert load_settings(tmp_path).ray_address is None


def test_a_cluster_takes_the_trainings_unless_it_is_to_take_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(tmp_path, monkeypatch, RAY_ADDRESS=ADDRESS).ray_runs == "trainings"


def test_without_the_extra_the_first_line_names_the_setting_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_settings, "find_spec", lambda name: None)
    said = refusal(tmp_path, monkeypatch, RAY_ADDRESS=ADDRESS)
    assert f"TEAMS_RAY_ADDRESS is {ADDRESS}" in said
    assert "pip install 'teams-dagster[ray]'" in said


@pytest.mark.parametrize("address", ["ray://head:10001", "head:8265", "auto", "http://"])
def test_what_takes_no_jobs_is_refused(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"TEAMS_RAY_ADDRESS {address} is no address" in refusal(tmp_path, monkeypatch, RAY_ADDRESS=address)


def test_steps_on_other_machines_want_a_ledger_that_several_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(tmp_path, monkeypatch, RAY_ADDRESS=ADDRESS, RAY_RUNS="steps")
    assert said.startswith("TEAMS_LEDGER_URL is a file of SQLite")
    shared = "postgresql://ledger.example.org/ledger"
    assert configured(tmp_path, monkeypatch, LEDGER_URL=shared).ray_runs == "steps"


def test_a_cluster_of_this_machine_can_write_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(tmp_path, monkeypatch, RAY_ADDRESS="http://127.0.0.1:8265", RAY_RUNS="steps").ray_address


def test_nodes_are_given_the_settings_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TEAMS_MODEL=m\nTEAMS_API_KEY=sk-planted\nTEAMS_EXPERT_API_KEY=sk-planted\n")
    secrets = {
        "LEDGER_URL": "postgresql://u:planted@host/ledger",
        "ALERT_WEBHOOK_URL": "https://chat.example.org/planted",
        "ALERT_MAIL_SERVER": "smtps://u:planted@mail.example.org",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    monkeypatch.setenv("TEAMS_EXPERT_RPM", "60")
    found = plain_variables(tmp_path)
    assert {"TEAMS_MODEL": "m", "TEAMS_EXPERT_RPM": "60"}.items() <= found.items()
    assert "planted" not in str(found)
