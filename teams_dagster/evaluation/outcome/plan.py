"""What an outcome study does and will ask: its arms, their queries, and how its students are trained and scored."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.policy.baselines import GENERIC_PROMPT, UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.query_forecast import (
    STEADY,
    EpisodeStats,
    answering,
    last_stats,
    reviews_of_an_edit,
    rewriting,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact
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


ALL_REPEATED = 1.0
"""The share of the counted arm's queries that the trained one asked before it."""


def study_queries(policy: Artefact, seeds: Mapping[str, Instruction], plan: OutcomePlan) -> list[QueryForecast]:
    """The queries of every arm: of each kind no more than its allowance, and likely that many of all kinds together."""
    stats = {TRAINED: last_stats(policy), TRAINED_COUNTED: last_stats(policy)}
    reviews, found = reviews_of_an_edit(policy), list[QueryForecast]()
    for arm in ARMS:
        allowed = plan.allowance(arm)
        if arm == SEEDS_ANSWERED:
            count = min(len(seeds), allowed)
            found += answering(count, count, count, seeds.values())
            continue
        asked = _episodes(allowed, seeds.values(), stats.get(arm, STEADY), reviews)
        found += [replace(kind, repeated=ALL_REPEATED) for kind in asked] if arm == TRAINED_COUNTED else asked
    return found


def _episodes(
    allowed: int, seeds: Collection[Instruction], stats: EpisodeStats, reviews_an_edit: int
) -> list[QueryForecast]:
    """What episodes like `stats` ask until so many queries are asked, their answers included."""
    an_episode = stats.rewrites + reviews_an_edit * stats.reviews + stats.accepted
    episodes = math.ceil(allowed / an_episode) if an_episode else 0
    accepted = round(episodes * stats.accepted)
    found = [
        *rewriting(Role.EXPERT, episodes, seeds, [stats], stats, reviews_an_edit=reviews_an_edit),
        *answering(accepted // 2, accepted, max(accepted, allowed), seeds),
    ]
    return [_at_most(kind, allowed) for kind in found]


def _at_most(kind: QueryForecast, most: int) -> QueryForecast:
    return replace(kind, least=min(kind.least, most), likely=min(kind.likely, most), most=most)
