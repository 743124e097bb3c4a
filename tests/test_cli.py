"""The `teams` command: mistakes are named before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from teams_dagster.cli import main


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))


def demo(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["demo", *arguments])


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TEAMS_SEEDS": "/no/such/seeds.csv"}, "TEAMS_SEEDS names /no/such/seeds.csv"),
        ({"TEAMS_EVALUATION_SETS": "/no/such.jsonl"}, "TEAMS_EVALUATION_SETS names /no/such.jsonl"),
        ({"TEAMS_EXPERT_PROVIDER": "offline"}, "TEAMS_REVIEWER is not: set TEAMS_REVIEWER_MODEL"),
        ({"TEAMS_EXPERT_PROVIDER": "ofline"}, "must be one of offline, openai, transformers, not 'ofline'"),
        ({"TEAMS_SEED": "x"}, "did you mean TEAMS_SEEDS?"),
    ],
)
def test_a_mistake_in_the_settings_stops_before_anything_is_made(
    environment: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = demo()
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "data" / "assets").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("ops: {generated_instructions: {config: {sedes: 40}}}", 'unexpected config entry "sedes"'),
        ("ops: {trained_policy: {config: {iterations: many}}}", "not valid for expected type"),
        ("[1, 2]", "must hold a mapping"),
        ("{", "is no YAML or JSON"),
    ],
)
def test_a_mistake_in_the_run_configuration_is_named(config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config)
    result = demo("--config", str(tmp_path / "config.yaml"))
    assert result.exit_code == 1
    assert message in result.output


def test_a_day_that_begins_no_generation_is_refused_with_the_range() -> None:
    result = demo("--partition", "2026-11-17")
    assert result.exit_code == 1
    assert "2026-11-17 is no generation: give a Monday from 2026-01-05" in result.output
