"""The README tells the truth about what people type and query."""

import re
from pathlib import Path

import duckdb
import pytest

from teams_dagster.instructions.operations import Operation
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.read_model import refresh
from teams_dagster.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_column_of_every_table_and_view_is_documented(tmp_path: Path):
    refresh(sqlite_url(tmp_path / "ledger.sqlite"), [], tmp_path / "teams.duckdb")
    with duckdb.connect(tmp_path / "teams.duckdb", read_only=True) as connection:
        columns = connection.execute("select table_name, column_name from information_schema.columns").fetchall()
    told = set(re.findall(r"`([a-z0-9_]+)`", README))
    missing = [f"{table}.{column}" for table, column in columns if not {table, column} <= told]
    assert [name for name in missing if not name.startswith("read_model_")] == []


@pytest.mark.parametrize("field", [name for name in Settings.model_fields if name not in ("root", "roles")])
def test_every_setting_is_in_the_settings_table(field: str):
    assert f"`TEAMS_{field.upper()}`" in README


def test_every_path_that_is_named_exists():
    for path in re.findall(r"`((?:teams_dagster|resources|assets|docs)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


def test_a_seventh_operation_is_one_line_and_one_template():
    templates = {path.stem for path in (ROOT / "teams_dagster/instructions/prompts").glob("[!_]*.md")}
    assert {operation.value for operation in Operation} - {"none"} <= templates
