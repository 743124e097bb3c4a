"""`teams init`: three lines and a budget into `.env`, and the key nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from teams_dagster.cli import main
from teams_dagster.core.protocol import Role
from teams_dagster.settings import load_settings

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-planted'#secret"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the project's."""
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "teams_dagster").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["init", *arguments], input=typed)


def test_what_is_typed_serves_every_role_and_the_key_is_not_shown(root: Path) -> None:
    result = init(typed=f"https://h.example/v1\nm\n{KEY}\n7.5\n")
    assert result.exit_code == 0, result.output
    settings = load_settings(root)
    assert {settings.role(role).model for role in Role} == {"m"}
    key = settings.role(Role.EXPERT).api_key
    assert key is not None
    assert key.get_secret_value() == KEY
    assert str(settings.budget_usd) == "7.5"
    assert KEY not in result.output
    assert stat.S_IMODE((root / ".env").stat().st_mode) == 0o600


def test_a_server_on_this_machine_needs_no_key_and_no_budget(root: Path) -> None:
    assert init("--base-url", "http://127.0.0.1:8000/v1", "--model", "m", typed="\n").exit_code == 0
    assert load_settings(root).role(Role.JUDGE).api_key is None


def test_what_cannot_be_used_is_not_written(root: Path) -> None:
    result = init("--base-url", "http://h.example/v1", "--model", "m", typed=f"{KEY}\n1\n")
    assert result.exit_code == 1
    assert "TEAMS_BASE_URL would send plain http" in result.output
    assert not (root / ".env").exists()


def test_settings_that_are_there_stay(root: Path) -> None:
    (root / ".env").write_text("TEAMS_MODEL=mine\n")
    assert "is there already" in init().output
    assert (root / ".env").read_text() == "TEAMS_MODEL=mine\n"


def test_the_example_is_valid(root: Path) -> None:
    (root / ".env").write_text((ROOT / ".env.example").read_text(encoding="utf-8"), encoding="utf-8")
    assert load_settings(root).shared_line(Role) is not None
