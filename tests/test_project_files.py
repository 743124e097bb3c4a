"""What the project says of itself in files that no code reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import teams_dagster
from tests.support.commands import ROOT

HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    if repository["repo"] == "local"
    for hook in repository["hooks"]
]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == teams_dagster.__version__


def test_the_changelog_has_this_version_and_what_is_to_come() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert versions[:2] == ["Unreleased", teams_dagster.__version__]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_of_the_project_is_a_tool_of_make_lint(hook: dict[str, Any]) -> None:
    tool = hook["entry"].split(" --")[0].removeprefix(".venv/bin/")
    assert f"$(BIN)/{tool}" in MAKEFILE


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_link_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (ROOT / path).is_file(), path
