"""Facts of the evaluation, the uniform arm's scores among them: scores, attacks, win rates and the paper's table."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.metadata import Table
from teams_dagster.store.facts.base import Facts, Hidden, QueryFacts, Shown
from teams_dagster.store.facts.dataset import overlap_line


class UniformScoreFacts(Facts):
    """Facts of `uniform_scores`."""

    scores: Annotated[int, Hidden()]
    """Rows of its table `evaluation_scores`."""


class ScoresFacts(Facts):
    """Facts of `evaluation_scores`."""

    questions: Annotated[int, Hidden()]
    """Held-out instructions with a choice of responses."""
    too_long: int
    """Held-out examples left out because no model takes them whole."""
    overlap: Annotated[dict[str, float], Shown("held_out_overlap", form=overlap_line)] = Field(default_factory=dict)
    """What the dataset's held-out examples still share with training (`DatasetFacts.overlap`)."""


class PrivacyFacts(Facts):
    """Facts of `privacy_audit`."""

    too_long: Annotated[int, Hidden()]
    too_small_to_tell: Annotated[bool, Hidden()]
    """Some interval is too wide to say whether anything leaks."""
    overlap: Annotated[dict[str, float], Shown("held_out_overlap", form=overlap_line)] = Field(default_factory=dict)
    """What the dataset's held-out examples still share with training (`DatasetFacts.overlap`)."""


class JudgeModel(BaseModel):
    """Who judged."""

    model_config = ConfigDict(frozen=True)

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class WinRateFacts(QueryFacts):
    """Facts of `judged_win_rate`."""

    judge: Annotated[JudgeModel, Shown(form=str)]
    questions: int
    """Held-out instructions that every model answered."""
    too_long: int
    """Held-out instructions left out: their prompt leaves no room for an answer."""
    cut_off: dict[str, int]
    """By model, the answers that reached the longest length."""
    overlap: Annotated[dict[str, float], Shown("held_out_overlap", form=overlap_line)] = Field(default_factory=dict)
    """What the dataset's held-out examples still share with training (`DatasetFacts.overlap`)."""


class ArmFacts(BaseModel):
    """What an arm of the outcome study asked, and what its students were trained on."""

    model_config = ConfigDict(frozen=True)

    allowed: int
    """Queries that it might ask."""
    asked: int
    """Those that it asked, answers included."""
    pairs: int
    """Pairs that differ and fit, which rows were drawn from."""
    updates: list[int]
    """Of each of its students."""


def _arms_table(arms: dict[str, ArmFacts]) -> Table:
    rows = [(name, arm.allowed, arm.asked, arm.pairs, arm.updates[0]) for name, arm in arms.items()]
    return Table(("arm", "queries allowed", "queries asked", "pairs", "updates of each student"), rows)


class OutcomeFacts(QueryFacts):
    """Facts of `outcome_scores`."""

    training_queries: int
    """What the policy's training asked."""
    rows: int
    """Training rows of each student."""
    students: int
    """Of each arm."""
    pairs: Annotated[int, Shown("peoples_pairs")]
    """People's pairs that students were scored on."""
    prompts: int
    """Prompts with constraints that they answered."""
    left_out: dict[str, int]
    """Pairs and prompts that were not asked, by why: what shares text with any row of any arm is none."""
    arms: Annotated[dict[str, ArmFacts], Shown(form=_arms_table)]


class PaperTableFacts(Facts):
    """Facts of `paper_table`."""

    values: Annotated[int, Hidden()]
    note: Annotated[str, Hidden()]
    """Why the uniform arm is not in the table; empty where it is."""
