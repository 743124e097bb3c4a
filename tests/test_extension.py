"""An operation and an algorithm that the project does not ship, added as a person would: what that takes, and works."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from resources.language_models.offline import rules
from teams_dagster.core import operations
from teams_dagster.instructions import prompts
from teams_dagster.instructions.seeds import shipped_seeds_path
from teams_dagster.policy.algorithms import config
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train
from tests.support import extended_run, made_up_algorithm
from tests.support.offline_world import OfflineWorld, shipped_seeds

ROOT = Path(__file__).parent.parent
PACKAGES = ("teams_dagster", "resources", "assets")

OPERATION, ALGORITHM = "set_audience", "made_up"

ENUM_LINE = '    SET_AUDIENCE = ("set_audience", Returns.INSTRUCTION, "a reader whom the answer must suit")\n'

TEMPLATE = """You rewrite instructions: the answer must suit a reader whom you choose.

{% include "_rules.md" %}
---
Choose a reader for this instruction.

{% include "_old.md" %}
"""

OFFLINE_RULE = """    Operation.SET_AUDIENCE: Rule(
        lambda reading, replica: None if "novice" in reading.text else f"{reading.text} Let a novice understand it.",
    ),
"""


def path_of(module: ModuleType) -> str:
    """Where the module lies in the project."""
    return Path(inspect.getfile(module)).relative_to(ROOT).as_posix()


TEMPLATE_PATH = f"{Path(path_of(prompts)).parent}/{OPERATION}.md"
MODULE_PATH = f"{Path(path_of(config)).parent}/made_up.py"


def copy_of_the_project(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "workspace.yaml", folder)
    return folder


def insert(path: Path, new: str, *, before: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path} holds {before!r} {text.count(before)} times"
    path.write_text(text.replace(before, new + before), encoding="utf-8")


def add_the_operation(copy: Path) -> None:
    insert(copy / path_of(operations), ENUM_LINE, before='    NONE = ("none"')
    (copy / TEMPLATE_PATH).write_text(TEMPLATE, encoding="utf-8")
    insert(copy / path_of(rules), OFFLINE_RULE, before='}\n"""The rule of every operation')


def add_the_algorithm(copy: Path) -> None:
    shutil.copy(ROOT / path_of(made_up_algorithm), copy / MODULE_PATH)
    registry, module = copy / path_of(config), MODULE_PATH.removesuffix(".py").replace("/", ".")
    insert(registry, f"from {module} import ReinforceConfig\n", before=f"from {config.__package__}.steps import")
    insert(registry, " | ReinforceConfig", before=',\n    Field(discriminator="name"),\n]\n"""Every algorithm')


def lines_changed(before: Path, after: Path) -> dict[str, int]:
    """Lines added to or changed in each file that differs."""
    changed = {}
    for path in (path for package in PACKAGES for path in (after / package).rglob("*") if path.is_file()):
        name = path.relative_to(after).as_posix()
        old, new = (before / name).read_bytes() if (before / name).exists() else b"", path.read_bytes()
        if old != new:
            compared = difflib.ndiff(old.decode().splitlines(), new.decode().splitlines())
            changed[name] = sum(line.startswith("+ ") for line in compared)
    return changed


def test_an_operation_is_a_line_of_the_enum_a_template_and_an_offline_rule(tmp_path: Path) -> None:
    add_the_operation(copy_of_the_project(tmp_path))
    assert lines_changed(ROOT, tmp_path) == {
        path_of(operations): 1,
        TEMPLATE_PATH: len(TEMPLATE.splitlines()),
        path_of(rules): len(OFFLINE_RULE.splitlines()),
    }


def test_an_algorithm_is_a_module_and_its_registration(tmp_path: Path) -> None:
    add_the_algorithm(copy_of_the_project(tmp_path))
    assert lines_changed(ROOT, tmp_path) == {
        MODULE_PATH: len(inspect.getsource(made_up_algorithm).splitlines()),
        path_of(config): 2,
    }


@dataclass(frozen=True)
class Seen:
    """What a run of the extended copy saw; see `extended_run`."""

    copy: Path
    package: str
    iterations: list[tuple[str, str, float]]
    accepted: dict[str, int]
    pictures: list[list[str]]
    page: str
    proposed: str
    refusal: str


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    copy, data = copy_of_the_project(tmp_path_factory.mktemp("copy")), tmp_path_factory.mktemp("data")
    add_the_operation(copy)
    add_the_algorithm(copy)
    before, seeds = data / "before.safetensors", data / "seeds.jsonl"
    seeds.write_text("".join(shipped_seeds_path().read_text(encoding="utf-8").splitlines(keepends=True)[:80]), "utf-8")
    asyncio.run(train(OfflineWorld(), shipped_seeds(), TrainingConfig(iterations=1), before))
    done = subprocess.run(
        [sys.executable, "-m", extended_run.__name__, OPERATION, ALGORITHM, str(data), str(before)],
        cwd=copy,
        env=os.environ
        | {"PYTHONPATH": f"{copy}{os.pathsep}{ROOT}", "TEAMS_DATA_DIR": str(data), "TEAMS_SEEDS": str(seeds)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Seen(copy, **found)


@pytest.mark.slow
def test_the_copy_is_what_ran(seen: Seen) -> None:
    assert Path(seen.package).is_relative_to(seen.copy)


@pytest.mark.slow
def test_the_algorithm_moves_a_policy_that_chooses_the_operation(seen: Seen) -> None:
    [(phase, update, share)] = seen.iterations
    assert (phase, update) == (ALGORITHM, "moved")
    assert share > 0


@pytest.mark.slow
def test_the_operation_is_accepted_in_a_generation(seen: Seen) -> None:
    assert seen.accepted[OPERATION] > 0


@pytest.mark.slow
def test_the_guide_proposes_the_operation_where_all_others_were_refused(seen: Seen) -> None:
    assert seen.proposed == OPERATION


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels",
    [
        {"share of choices (%)", "iteration"},
        {"share of choices (%)", "step, and choices made there"},
        {"accepted per query (mean, 95% interval)"},
        {"trained minus the other (95% interval)"},
        {"queries asked"},
    ],
)
def test_pictures_of_the_policy_and_its_cost_name_the_operation(seen: Seen, labels: set[str]) -> None:
    drawn = [texts for texts in seen.pictures if labels <= set(texts)]
    assert drawn
    assert all("set audience" in texts for texts in drawn)


@pytest.mark.slow
def test_the_report_names_the_operation_and_the_algorithm(seen: Seen) -> None:
    assert "set audience" in seen.page
    assert "Trained by REINFORCE" in seen.page


@pytest.mark.slow
def test_a_policy_of_before_is_read_and_refused_by_the_name_of_what_was_added(seen: Seen) -> None:
    assert f"added since: {OPERATION}" in seen.refusal
    assert "train it again" in seen.refusal
