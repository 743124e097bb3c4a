"""What a study will ask, told before its first query."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.evaluation.outcome.plan import ARMS, SEEDS_ANSWERED, TRAINED_COUNTED, OutcomePlan
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
