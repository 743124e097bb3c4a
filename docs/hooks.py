"""What MkDocs calls: adds the pages that are made from the code, and lists them in the navigation."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.generate import assets, checks, commands, python, run_configuration, settings, tables

FOLDER = "reference"

PAGES = {
    "Tables": ("tables", tables),
    "Asset checks": ("checks", checks),
    "Settings": ("settings", settings),
    "Run configuration": ("run-configuration", run_configuration),
    "Commands": ("commands", commands),
    "Assets and jobs": ("assets", assets),
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section `Reference` of the navigation, which the configuration leaves empty."""
    reference: list[object] = [{title: f"{FOLDER}/{name}.md"} for title, (name, _) in PAGES.items()]
    reference.append({"Python": [f"{FOLDER}/python/{name}.md" for name in python.pages()]})
    assert config.nav is not None
    config.nav = [{"Reference": reference} if "Reference" in entry else entry for entry in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    made = {name: module.page() for name, module in PAGES.values()}
    made |= {f"python/{name}": content for name, content in python.pages().items()}
    for name, content in made.items():
        files.append(File.generated(config, f"{FOLDER}/{name}.md", content=content))
    return files
