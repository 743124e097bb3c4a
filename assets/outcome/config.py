"""Run configuration of the outcome study."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.materialize import AssetConfig
from teams_dagster.evaluation.outcome.plan import OutcomePlan
from teams_dagster.settings import Settings
from teams_dagster.student.adapter_config import AdapterConfig, student_config

_PLAN = OutcomePlan.model_fields


class NoPairs(ValueError):
    """A study without people's pairs to score students on."""


class StudentSettings(dg.Config):
    """How each student's adapter is trained; what is left out is as suits the student."""

    learning_rate: float | None = Field(default=None, gt=0, description="Peak learning rate.")
    epochs: float | None = Field(default=None, gt=0, description="Passes over the rows.")
    batch_size: int | None = Field(default=None, ge=1, description="Rows of an update.")
    max_length: int | None = Field(default=None, ge=8, description="Longest row and longest pair, in tokens.")
    rank: int | None = Field(default=None, ge=1, description="Rank of the adapter's matrices.")

    def adapter(self, rows: int, *, embedded: bool) -> AdapterConfig:
        """The settings of a training on so many rows, its updates counted: all arms make as many."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        config = AdapterConfig(**{**student_config("lora", embedded=embedded).model_dump(), **given})
        updates = max(1, round(config.epochs * -(-rows // config.examples_per_update)))
        return config.model_copy(update={"max_steps": updates})


class OutcomeSettings(AssetConfig):
    """What is compared, and on how much."""

    queries: int | None = Field(
        default=None,
        ge=1,
        description="Queries of each arm, answers included; with training's counted they have to pay for that, too. By"
        " default twice as many as the policy's training asked.",
    )
    seeds: int | None = Field(default=None, ge=1, description="Seeds that arms start from, at most. By default all.")
    rows: int = Field(default=_PLAN["rows"].default, ge=2, description=_PLAN["rows"].description)
    students: int = Field(default=_PLAN["students"].default, ge=3, description=_PLAN["students"].description)
    pairs_files: list[str] = Field(
        default=[],
        description="Absolute paths of files of people's pairs, read as TEAMS_PAIRS is. By default the file that"
        " TEAMS_PAIRS names. Pairs near to training rows are not asked.",
    )
    pairs: int = Field(default=_PLAN["pairs"].default, ge=8, description=_PLAN["pairs"].description)
    prompts: int = Field(default=_PLAN["prompts"].default, ge=2, le=200, description=_PLAN["prompts"].description)
    max_new_tokens: int = Field(
        default=_PLAN["max_new_tokens"].default, ge=1, description=_PLAN["max_new_tokens"].description
    )
    root_seed: int = Field(default=0, ge=0, description=_PLAN["root_seed"].description)
    student: StudentSettings = StudentSettings()

    def plan(self, training_queries: int, *, embedded: bool) -> OutcomePlan:
        """The study's sizes, given what the policy's training asked."""
        same: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("seeds", "rows", "students", "pairs", "prompts", "max_new_tokens", "root_seed")
        }
        return OutcomePlan(
            queries=self.queries or 2 * training_queries,
            training_queries=training_queries,
            adapter=self.student.adapter(self.rows, embedded=embedded),
            **same,
        )

    def files(self, settings: Settings) -> list[Path]:
        """The files of people's pairs. Raises NoPairs where none is named."""
        named = [Path(name) for name in self.pairs_files] or ([settings.pairs] if settings.pairs else [])
        if not named:
            raise NoPairs(
                "outcome_scores has no people's pairs to score students on: set TEAMS_PAIRS to a file of instructions"
                " with people's own answers, or `pairs_files` in the run's configuration"
            )
        return named
