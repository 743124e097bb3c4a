"""README and pages tell the truth about what exists, and leave nothing out that people rely on."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from docs.generate.run_configuration import rows_of
from teams_dagster.automation import JOBS
from teams_dagster.definitions import defs
from teams_dagster.environment.state import HORIZON
from teams_dagster.policy.config import TrainingConfig
from tests.support.commands import ROOT, code_in, unknown_commands

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ]
}

PYTHON = "\n".join(
    path.read_text(encoding="utf-8")
    for package in ("teams_dagster", "resources", "assets")
    for path in (ROOT / package).rglob("*.py")
)


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 9_000


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("name", PAGES)
def test_every_module_and_path_that_is_named_exists(name: str) -> None:
    for module in re.findall(r"`((?:teams_dagster|resources|assets)(?:\.\w+)*)`", PAGES[name]):
        assert find_spec(module), module
    for path in re.findall(
        r"`((?:teams_dagster|resources|assets|tests|benchmarks|docs|examples)/[\w./]*)`", PAGES[name]
    ):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_is_named_exists_with_its_options(name: str) -> None:
    assert unknown_commands(code_in(PAGES[name])) == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert unknown_commands("make no-such; .venv/bin/teams demo --no-such") == ["make no-such", "teams demo --no-such"]


def test_the_largest_number_of_training_queries_is_right() -> None:
    config = TrainingConfig()
    asked = config.iterations * config.episodes_per_iteration * HORIZON * 2
    assert f"{asked:,} queries" in PAGES["models.md"]


@pytest.mark.parametrize("where", re.findall(r"\| ([^|]*`[^|]*) \|$", PAGES["paper.md"], re.MULTILINE))
def test_the_paper_index_names_what_exists(where: str) -> None:
    """The last cell of a row: names of Python objects, of assets and jobs, or `asset`: `field`, `field`."""
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    known = assets | {job.name for job in JOBS}
    first, *names = re.findall(r"`([^`]+)`", where)
    if "`: `" in where:
        fields = {path.strip("`") for path, *_ in rows_of(first)}
        assert set(names) <= fields, f"{first} has no {set(names) - fields}"
        return
    for name in (first, *names):
        assert name in known or re.search(rf"^(?:class|def) {name}\b|^{name}\b", PYTHON, re.MULTILINE), name
