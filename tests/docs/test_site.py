"""The site as a reader has it: opened from disk in a real headless Chromium, without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, expect

from tests.support.commands import ROOT, unknown_commands

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def build(folder: Path, **pages: str) -> subprocess.CompletedProcess[str]:
    """A site of few pages, built as `make docs` does. The pages made from the code are left out: they take long."""
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nhooks:")[0]
    configuration = configuration.replace("docs_dir: docs", "docs_dir: pages")
    (folder / "mkdocs.yml").write_text(f"{configuration}\nplugins: [search, offline]\n", encoding="utf-8")
    (folder / "pages").mkdir()
    for name in ("javascripts", "stylesheets"):
        (folder / "pages" / name).symlink_to(ROOT / "docs" / name)
    for name, text in pages.items():
        (folder / "pages" / f"{name}.md").write_text(text, encoding="utf-8")
    (arguments,) = re.findall(r"python -m mkdocs (.*)", MAKEFILE)
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", *arguments.split()],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    built = build(tmp_path, index="# Home\n\n[A page](nowhere.md) and [a section](#nothing).\n")
    assert built.returncode == 1
    assert "Aborted with 2 warnings" in built.stdout


@pytest.mark.browser
def test_a_word_of_another_page_is_found_without_a_network(tmp_path: Path, browser: Browser) -> None:
    other = "# Other\n\n## A lineage\n\nEvery sample has a chinchilla.\n"
    built = build(tmp_path, index="# Home\n\nNothing of it here.\n", other=other)
    assert built.returncode == 0, built.stderr
    page = browser.new_page()
    noises: list[str] = []
    page.on("pageerror", lambda error: noises.append(str(error)))
    page.on("request", lambda request: noises.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((tmp_path / "site" / "index.html").as_uri())
    page.get_by_placeholder("Search").click()
    page.get_by_placeholder("Search").press_sequentially("chinchilla")
    expect(page.locator(".md-search-result__item")).to_contain_text("A lineage")
    page.close()
    assert noises == []


def test_the_workflow_of_the_site_types_commands_that_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8"))
    typed = [step["run"] for step in workflow["jobs"]["docs"]["steps"] if "run" in step]
    assert typed == ["make docs"]
    assert unknown_commands("\n".join(typed)) == []
