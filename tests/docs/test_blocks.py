"""Every fenced block of README and pages does what it is there for: commands run, configuration is valid."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, get_type_hints

import click
import dagster as dg
import duckdb
import pytest
import yaml
from click.testing import CliRunner

from docs.generate import commands, run_configuration
from docs.generate.run_configuration import schema
from teams_dagster import ray_settings
from teams_dagster.automation import JOBS
from teams_dagster.cli import main
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Role
from teams_dagster.definitions import defs
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.requests import rewrite_query
from teams_dagster.pricing.prices import load_prices
from teams_dagster.rlgf.task import load_task
from teams_dagster.settings import load_settings
from teams_dagster.weights import NAMES, models_folder
from tests.docs.conftest import Store
from tests.support.commands import ROOT, Block, blocks_in, unknown_commands
from tests.support.token_prices import generation_prices

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    *(block for page in PAGES for block in blocks_in(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))),
    *blocks_in(run_configuration.page(), "run-configuration"),
    *blocks_in(commands.page(), "commands"),
]

PRICES = generation_prices((2_500, 10_000), (150, 600))
"""Those that a reward in dollars is counted by."""

SAMPLE = "3f9c02a1b7"
"""The sample id that pages show."""

RUN = ("estimate", "costs", "lineage", "export")
"""Commands that are run on the store; others take long or ask the whole graph, and are parsed."""

KNOWN_PROGRAMS = (
    *(".", "make", "mkdir", "set", "tar", "docker", "helm", "kubectl"),
    *(".venv/bin/pip", ".venv/bin/python", ".venv/bin/jupyter"),
)
"""What else the pages type: checked as shell, as targets of the Makefile, and by the tests of what they are for."""


TASK_FILES = [block for block in BLOCKS if block.title == "errands.yaml"]
"""Tasks of token-level training; every other block in YAML is a run configuration."""


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages and block not in TASK_FILES]
    return pytest.mark.parametrize("block", chosen, ids=str)


def typed(block: Block) -> Iterator[list[str]]:
    """The words of each command, without the variables set before it."""
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        while words and "=" in words[0]:
            words = words[1:]
        if words:
            yield words


def job_of(run_config: dict[str, Any]) -> str:
    """The job that has all ops of a run configuration."""
    ops = run_config.get("ops", {}).keys()
    return next(job.name for job in JOBS if ops <= schema(job.name).keys())


def config_class(job: str, op: str) -> type[dg.Config]:
    """The class that an op's configuration becomes."""
    compute: Any = defs.resolve_job_def(job).graph.node_named(op).definition
    return get_type_hints(compute.compute_fn.decorated_fn)["config"]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in ("sh", "dotenv", "yaml", "toml", "sql", "python", "text", "bibtex", "markdown")


@of("sh")
def test_commands_run(block: Block, store: Store, project_folder: Path) -> None:
    for other in BLOCKS:
        if other.title:
            (project_folder / other.title).parent.mkdir(exist_ok=True)
            (project_folder / other.title).write_text(other.text, encoding="utf-8")
    assert subprocess.run(["sh", "-n"], input=block.text, text=True, capture_output=True).stderr == ""
    assert unknown_commands(block.text) == []
    for program, *arguments in typed(block):
        if program not in ("teams", ".venv/bin/teams"):
            assert program in KNOWN_PROGRAMS, program
            continue
        given = [store.sample_id[:10] if word == SAMPLE else word for word in arguments]
        if given[0] in RUN:
            result = CliRunner().invoke(main, given)
            assert result.exit_code == 0, result.output
        else:
            command = main.get_command(click.Context(main), given[0])
            assert command is not None
            command.make_context(given[0], given[1:])


@of("dotenv")
def test_settings_are_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the models are made and the extra `ray` is installed."""
    monkeypatch.setattr(ray_settings, "find_spec", lambda name: ModuleSpec(name, None))
    (tmp_path / ".env").write_text(block.text, encoding="utf-8")
    for name in NAMES:
        (models_folder(tmp_path) / name).mkdir(parents=True)
    for titled in BLOCKS:
        if titled.language == "markdown":
            (tmp_path / titled.title).parent.mkdir(exist_ok=True)
            (tmp_path / titled.title).write_text(titled.text, encoding="utf-8")
    assert load_settings(tmp_path).root == tmp_path


@of("markdown")
def test_a_prompt_can_be_asked_with(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / Path(block.title).parent
    folder.mkdir()
    (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    monkeypatch.setenv("TEAMS_PROMPTS", str(folder))
    load_settings(tmp_path)
    name = Path(block.title).stem
    asked = rewrite_query(Role.INSTRUCTOR, Operation(name), Instruction("Name a lake."))
    assert asked.prompt_version == prompt(name).version
    assert asked.messages[0].content in block.text


@of("yaml")
def test_a_run_configuration_is_valid(block: Block) -> None:
    given = yaml.safe_load(block.text)
    job = job_of(given)
    valid = dg.validate_run_config(defs.resolve_job_def(job), given)
    for op in given.get("ops", {}):
        config = config_class(job, op)(**valid["ops"][op]["config"])
        if op == "trained_policy":
            config.training(lambda: PRICES)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_run_configuration_that_contradicts_itself_is_found() -> None:
    block = Block("a page", 1, "yaml", "", "ops: {trained_policy: {config: {algorithm: {bc: {}}, patience: 8}}}")
    with pytest.raises(ValueError, match="patience 8"):
        test_a_run_configuration_is_valid(block)


@pytest.mark.parametrize("block", TASK_FILES, ids=str)
def test_a_task_file_is_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    assert load_task(tmp_path / block.title).metrics


@of("toml")
def test_a_price_file_is_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(block.text, encoding="utf-8")
    assert load_prices(tmp_path / "prices.toml").version != load_prices(None).version


@of("sql")
def test_a_query_is_answered(block: Block, store: Store) -> None:
    with duckdb.connect(store.data / "teams.duckdb", read_only=True) as connection:
        connection.execute(block.text).fetchall()


@of("python")
def test_python_runs(block: Block, project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", project_folder / "cache")
    opened = re.search(r'load_dataset\("(.+?)"\)', block.text)
    exported = CliRunner().invoke(main, ["export", "--to", opened[1] if opened else "my_dataset"])
    assert exported.exit_code == 0, exported.output
    exec(compile(block.text, str(block), "exec"), {})
