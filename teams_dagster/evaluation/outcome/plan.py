"""What an outcome study does: its arms, how much each may ask, and how its students are trained and scored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.policy.baselines import GENERIC_PROMPT, UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.student.adapter_config import AdapterConfig

TRAINED_COUNTED = "trained_training_counted"
"""The trained policy, with what its training asked taken from its queries."""

SEEDS_ANSWERED = "seeds_answered"
"""No instruction is rewritten: the seeds themselves are answered."""

ARMS = (TRAINED, TRAINED_COUNTED, UNIFORM, GENERIC_PROMPT, SEEDS_ANSWERED)

BASE = "base"
"""The student before any training, scored beside the arms."""

OURS, OTHERS = (TRAINED, TRAINED_COUNTED), (UNIFORM, GENERIC_PROMPT, SEEDS_ANSWERED)

COMPARED = tuple((ours, other) for ours in OURS for other in OTHERS)
"""The differences that are tested: the policy's arms against the others."""


class TooFewQueries(ValueError):
    """A study whose queries are used up by the policy's training alone."""


class OutcomePlan(BaseModel):
    """The sizes of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: int = Field(ge=1, description="Queries of each arm, answers included.")
    training_queries: int = Field(ge=0, description="What the policy's training asked.")
    seeds: int | None = Field(default=None, ge=1, description="Seeds that arms start from, at most; None: all.")
    rows: int = Field(default=400, ge=2, description="Training rows of each student.")
    students: int = Field(default=5, ge=3, description="Students of each arm, with seeds 0, 1, ...")
    pairs: int = Field(default=200, ge=8, description="People's pairs that students are scored on, at most.")
    prompts: int = Field(
        default=200, ge=2, le=200, description="Prompts with constraints that students answer, at most."
    )
    max_new_tokens: int = Field(default=256, ge=1, description="Tokens of a reply to such a prompt, at most.")
    root_seed: int = Field(default=0, ge=0, description="Root of every random stream but the trainings' own.")
    adapter: AdapterConfig

    def allowance(self, arm: str) -> int:
        """Queries that `arm` may ask after its training. Raises TooFewQueries where training leaves none."""
        if arm != TRAINED_COUNTED:
            return self.queries
        if self.queries <= self.training_queries:
            raise TooFewQueries(
                f"queries {self.queries:,} of outcome_scores is no more than the {self.training_queries:,} that the"
                f" policy's training asked, so that with these counted it may ask nothing: set `queries` to"
                f" {2 * self.training_queries:,}, or leave it out"
            )
        return self.queries - self.training_queries
