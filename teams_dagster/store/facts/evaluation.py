"""Facts of the evaluation, the uniform arm's scores among them: scores, attacks, win rates and the paper's table."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class PaperTableFacts(Facts):
    """Facts of `paper_table`."""

    values: Annotated[int, Hidden()]
    note: Annotated[str, Hidden()]
    """Why the uniform arm is not in the table; empty where it is."""
