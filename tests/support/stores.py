"""Stores that tests only read or copy, each made once in a run: the worker that needs one first makes it for all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.partitions import GENERATIONS
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from teams_dagster.instructions.seeds import shipped_seeds_path
from tests.support.once import filled_once
from tests.support.project import Project

WEEK, NEXT_WEEK = "2026-11-02", "2026-11-09"
"""The generations of the stores here."""

FEW = 70
"""Seeds, enough to divide them."""


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Project], None], upon: Path | None = None
) -> Path:
    """The data folder `name`, filled by `make` on the embedded rules, once for all workers of this run.

    It begins as a copy of `upon`, or empty.
    """

    def fill(data: Path) -> None:
        if upon is not None:
            shutil.copytree(upon, data, dirs_exist_ok=True)
        with pytest.MonkeyPatch.context() as settings:
            for variable in [variable for variable in os.environ if variable.startswith("TEAMS_")]:
                settings.delenv(variable)
            settings.setenv("TEAMS_DATA_DIR", str(data))
            settings.setenv("TEAMS_PREFLIGHT", "off")
            make(Project(data, publishes=True))

    return filled_once(factory, name, fill)


def seeded_store(factory: pytest.TempPathFactory) -> Path:
    """The shipped seeds."""

    def make(project: Project) -> None:
        assert project.make(seed_instructions)

    return made_once(factory, "seeded", make)


def trained_store(factory: pytest.TempPathFactory) -> Path:
    """Seeds, and a policy trained on them."""

    def make(project: Project) -> None:
        assert project.make(trained_policy)

    return made_once(factory, "trained", make, seeded_store(factory))


def few_seeds_store(factory: pytest.TempPathFactory) -> Path:
    """The first of the shipped seeds, few enough that policies are soon compared on those kept back."""

    def make(project: Project) -> None:
        file = project.store.root / "few.jsonl"
        rows = shipped_seeds_path().read_text(encoding="utf-8").splitlines()[:FEW]
        file.write_text("\n".join(rows), encoding="utf-8")
        with pytest.MonkeyPatch.context() as settings:
            settings.setenv("TEAMS_SEEDS", str(file))
            assert project.make(seed_instructions)

    return made_once(factory, "few_seeds", make)


def few_seeds_trained_store(factory: pytest.TempPathFactory) -> Path:
    """Few seeds, and a policy trained on them."""

    def make(project: Project) -> None:
        assert project.make(trained_policy)

    return made_once(factory, "few_seeds_trained", make, few_seeds_store(factory))


def generated_store(factory: pytest.TempPathFactory) -> Path:
    """Seeds, a policy, and the generation of `WEEK` from twelve seeds with its answers."""

    def make(project: Project) -> None:
        assert project.make(generated_instructions, expert_responses, week=WEEK)

    return made_once(factory, "generated", make, trained_store(factory))


def two_weeks_store(factory: pytest.TempPathFactory) -> Path:
    """Seeds, a policy, the generations of `WEEK` and `NEXT_WEEK` from sixty seeds each, and a dataset of both."""

    def make(project: Project) -> None:
        for week in (WEEK, NEXT_WEEK):
            settings = {"seeds": 60}
            assert project.make(generated_instructions, expert_responses, week=week, generated_instructions=settings)
        assert project.make(instruction_dataset)

    return made_once(factory, "two_weeks", make, trained_store(factory))


def dataset_store(factory: pytest.TempPathFactory) -> Path:
    """Seeds, a policy, this week's generation with its answers, a dataset, and a read model that is up to date."""

    def make(project: Project) -> None:
        week = GENERATIONS.get_last_partition_key()
        assert project.make(generated_instructions, expert_responses, week=week, generated_instructions={"seeds": 60})
        assert project.make(instruction_dataset)
        project.ledger.refresh(project.instance)

    return made_once(factory, "dataset", make, trained_store(factory))
