"""The reference pages, made from the code, have everything there is."""

from __future__ import annotations

import pkgutil
import re

import dagster as dg
import pytest

import resources
import teams_dagster
from docs.generate import assets, checks, commands, graph, python, run_configuration, settings, tables
from teams_dagster.automation import JOBS, SCHEDULES, SENSORS
from teams_dagster.cli import COMMANDS
from teams_dagster.dataset import formats, provenance
from teams_dagster.definitions import defs
from teams_dagster.role_settings import RoleSettings
from teams_dagster.settings import Settings
from teams_dagster.store import views
from teams_dagster.store.tables import TABLES

CHECKS = [defs.resolve_asset_graph().get(key) for key in sorted(defs.resolve_asset_graph().asset_check_keys)]


def section(page: str, heading: str) -> str:
    """What is under a heading, up to the next one."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\b[^\n]*\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    return found


def told_in(page: str) -> list[str]:
    """The names in the first column of its tables."""
    return re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)


@pytest.mark.parametrize("name", tables.read_model())
def test_every_column_of_a_table_or_view_is_told(name: str) -> None:
    _, columns = tables.read_model()[name]
    assert told_in(section(tables.page(), name)) == [column.name for column in columns]


def test_a_row_of_every_table_and_view_is_told() -> None:
    assert views.rows().keys() == tables.read_model().keys()


def test_no_column_is_described_that_does_not_exist() -> None:
    found = {name: {column.name for column in columns} for name, (_, columns) in tables.read_model().items()}
    assert {name: set(columns) for name, columns in views.columns().items()} == {
        name: columns for name, columns in found.items() if name not in TABLES
    }


@pytest.mark.parametrize(
    ("file", "columns"), [("split", [*formats.COLUMNS, *formats.REASONING]), ("lineage", provenance.COLUMNS)]
)
def test_every_column_of_an_exported_file_is_told(file: str, columns: object) -> None:
    names = [getattr(column, "name", column) for column in columns]  # pyright: ignore[reportGeneralTypeIssues]
    assert told_in(section(tables.page(), f"{file}.parquet")) == names


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.key.to_user_string())
def test_a_check_says_how_bad_it_is_and_what_to_do(check: dg.AssetCheckSpec) -> None:
    assert check.description
    assert check.metadata["severity"] in ("error", "warning")
    assert check.metadata["remedy"].endswith(".")
    assert f"| `{check.key.name}` |" in checks.page()


@pytest.mark.parametrize(
    "field", sorted(Settings.model_fields.keys() - {"root", "roles", "naming", "shared", "dagster_home"})
)
def test_every_setting_is_told(field: str) -> None:
    description = " ".join((Settings.model_fields[field].description or "").split())
    assert f"| `TEAMS_{field.upper()}` | {description}" in settings.page()


@pytest.mark.parametrize("field", RoleSettings.model_fields)
def test_every_setting_of_a_role_is_told(field: str) -> None:
    assert f"TEAMS_<ROLE>_{field.upper()}" in told_in(settings.page())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_told(name: str) -> None:
    assert section(commands.page(), f"teams {name}")


def test_every_target_of_the_makefile_is_told() -> None:
    targets = re.findall(r"^([a-z-]+):", commands.MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name.removeprefix("make ") for name in told_in(section(commands.page(), "make"))] == targets


@pytest.mark.parametrize("op", run_configuration.jobs())
def test_every_field_of_the_run_configuration_is_told(op: str) -> None:
    fields = run_configuration.schema(run_configuration.jobs()[op])[op]
    told = {path.split(".")[0] for path in told_in(section(run_configuration.page(), op))}
    assert told == set(fields)


def test_every_asset_job_schedule_and_sensor_is_told() -> None:
    names = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]
    names += [definition.name for definition in (*JOBS, *SCHEDULES, *SENSORS)]
    assert sorted(told_in(assets.page())) == sorted(names)


def test_every_module_of_the_method_and_the_connections_is_on_one_page() -> None:
    modules = [
        module.name
        for package in (teams_dagster, resources)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.startswith(python.DOORS)
    ]
    pages = python.pages()
    told = re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.MULTILINE)
    assert sorted(told) == sorted(modules)
    assert all(f"({name}.md)" in pages["index"] for name in pages if name != "index")


@pytest.mark.parametrize("name", teams_dagster.__all__)
def test_every_public_name_is_told(name: str) -> None:
    assert f"| [`{name}`][teams_dagster." in python.pages()["index"]


def test_the_picture_of_the_graph_is_that_of_the_definitions() -> None:
    assert graph.PICTURE.read_text(encoding="utf-8") == graph.draw(), "write it anew: python -m docs.generate.graph"
