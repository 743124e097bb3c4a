"""The README tells the truth about what people type and query."""

import re
import subprocess
from pathlib import Path

import duckdb
import pytest

from teams_dagster.dataset.provenance import COLUMNS
from teams_dagster.definitions import defs
from teams_dagster.environment.state import HORIZON
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.settings import Settings
from teams_dagster.store.read_model import refresh
from tests.support.commands import code_in, shell_blocks, unknown_commands

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_column_of_every_table_and_view_is_documented(tmp_path: Path):
    refresh(sqlite_url(tmp_path / "ledger.sqlite"), [], tmp_path / "teams.duckdb")
    with duckdb.connect(tmp_path / "teams.duckdb", read_only=True) as connection:
        columns = connection.execute("select table_name, column_name from information_schema.columns").fetchall()
    told = set(re.findall(r"`([a-z0-9_]+)`", README))
    missing = [f"{table}.{column}" for table, column in columns if not {table, column} <= told]
    assert [name for name in missing if not name.startswith("read_model_")] == []


def test_every_column_of_the_exported_lineage_is_documented():
    told = set(re.findall(r"`([a-z0-9_]+)`", README.split("## The dataset elsewhere")[1].split("\n## ")[0]))
    assert {column.name for column in COLUMNS} <= told


@pytest.mark.parametrize(
    "field", [name for name in Settings.model_fields if name not in ("root", "roles", "dagster_home")]
)
def test_every_setting_is_in_the_settings_table(field: str):
    assert f"`TEAMS_{field.upper()}`" in README


def test_every_path_that_is_named_exists():
    named = re.findall(r"`((?:teams_dagster|resources|assets)/[\w./]+)`", README)
    linked = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    for path in (*named, *linked):
        assert (ROOT / path).exists(), path


def test_every_check_is_in_the_section_of_checks():
    section = README.split("## The checks")[1].split("\n## ")[0]
    told = set(re.findall(r"`([a-z0-9_]+)`", section))
    names = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert names <= told, names - told


def test_the_largest_number_of_training_questions_is_right():
    config = TrainingConfig()
    asked = config.iterations * config.episodes_per_iteration * HORIZON * 2
    assert f"{asked:,} questions" in README


def test_every_command_that_is_named_exists_with_its_options():
    assert unknown_commands("make no-such; .venv/bin/teams demo --no-such") == ["make no-such", "teams demo --no-such"]
    assert ".venv/bin/teams checks --junit checks.xml" in code_in(README)
    assert unknown_commands(code_in(README)) == []


@pytest.mark.parametrize("script", shell_blocks(README))
def test_a_script_is_shell(script: str):
    assert subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True).stderr == ""
