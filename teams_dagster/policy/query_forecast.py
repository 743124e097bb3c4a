"""What the episodes of a step will ask: from its configuration, the seeds, and what earlier steps asked.

Most is certain: an episode has HORIZON transitions, each a rewrite and at most its reviews, which are two where the
reward takes verdicts in both orders. Likely is what episodes asked so far, here or in the policy's last iteration;
before there are any, what an untrained policy does. Least is a stated share of the lowest that was seen.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import pyarrow.compute as pc

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.protocol import Purpose, Request, Role
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.requests import (
    CREATIVE,
    NAMING,
    VERDICT,
    guide_query,
    reply_limit,
    respond_query,
    review_query,
    rewrite_prompt,
    rewrite_query,
)
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.guide import ATTEMPTS
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Output
from teams_dagster.store.facts.base import QueryFacts
from teams_dagster.store.facts.policy import EpisodeFacts, PolicyFacts
from teams_dagster.store.parquet import read_rows, read_table

SAMPLED = 200
"""Seeds whose prompts are measured."""


LEAST_OF_SEEN = 0.8
"""Least, of the lowest that was seen."""


LEAST_OF_STATED = 1 / 3
"""Least, of what is stated where nothing was seen."""


@dataclass(frozen=True)
class EpisodeStats:
    """What one episode asks and gains, on average."""

    rewrites: float
    reviews: float
    """Edits that are reviewed, in one order of their texts or in both."""
    new_rewrites: float
    """Those that no other episode of the step asked in the same words."""
    new_reviews: float
    accepted: float
    guidance: float = 0.0
    """Queries asked to choose operations."""

    def at(self, rewrites: float) -> Self:
        """The same for an episode of so many rewrites; what an untrained policy does, where there was none."""
        like = self._with_rewrites
        scale = rewrites / like.rewrites
        return replace(self, **{field.name: getattr(like, field.name) * scale for field in fields(self)})

    def with_tries(self, reviews_an_edit: int) -> Self:
        """The same of a training that a look-ahead guided: what it asked to choose are rewrites and reviews."""
        like = self._with_rewrites
        queries_a_rewrite = 1 + reviews_an_edit * like.reviews / like.rewrites
        return replace(self.at(self.rewrites + self.guidance / queries_a_rewrite), guidance=0.0)

    @property
    def _with_rewrites(self) -> EpisodeStats:
        """These stats; those of an untrained policy where every step rested, so that nothing is known of a rewrite."""
        return self if self.rewrites else UNTRAINED

    @classmethod
    def of(cls, artefact: Artefact) -> Self | None:
        """The stats of the episodes in an output; None where it has none on record."""
        asked = artefact.read_facts(EpisodeFacts).asking
        if not asked or not asked["episodes"]:
            return None
        return cls(**{name: count / asked["episodes"] for name, count in asked.items() if name != "episodes"})


UNTRAINED = EpisodeStats(
    rewrites=HORIZON * len(TEXT_OPERATIONS) / (len(TEXT_OPERATIONS) + 1),
    reviews=HORIZON * 0.75,
    new_rewrites=HORIZON * len(TEXT_OPERATIONS) / (len(TEXT_OPERATIONS) + 1),
    new_reviews=HORIZON * 0.75,
    accepted=HORIZON / 2,
)
"""An untrained policy: `none` is one choice of seven, some edits are eliminated unseen, half are accepted."""

STEADY = replace(UNTRAINED, rewrites=float(HORIZON), new_rewrites=float(HORIZON))
"""One that never chooses `none`, before an episode of it was played."""


def last_stats(policy: Artefact) -> EpisodeStats:
    """What the episodes of a policy's last iteration asked; where a guide acted in them, what an untrained one does."""
    facts = policy.read_facts(PolicyFacts)
    if facts.guidance_queries:
        return UNTRAINED
    rewrites = HORIZON * (1 - facts.operation_mix.get("none", 0.0))
    accepted = facts.accepted_per_episode
    questions = accepted / facts.accepted_per_query if accepted else (1 + facts.reviews_an_edit) * rewrites
    reviews = min(rewrites, max(0.0, questions - rewrites) / facts.reviews_an_edit)
    return EpisodeStats(rewrites, reviews, rewrites, reviews, accepted)


def reviews_of_an_edit(policy: Artefact | None) -> int:
    """Queries of the reviewer on one edit where this policy steers; 1 where one that needs no training does."""
    return policy.read_facts(PolicyFacts).reviews_an_edit if policy else 1


def stats_of(artefacts: Iterable[Artefact]) -> list[EpisodeStats]:
    """The stats on record."""
    return [stats for artefact in artefacts if (stats := EpisodeStats.of(artefact)) is not None]


def asking_of(transitions: Path, episodes: int | None = None) -> dict[str, int]:
    """What the episodes of a `transitions` table asked, for the facts of its artefact.

    `episodes` is their number where some are branches of others; by default all that have rows count.
    """
    columns = [
        "episode_id",
        "operation",
        "queries",
        "guidance_queries",
        "accepted",
        "rewrite_request_id",
        "review_request_id",
    ]
    table = read_table(transitions, columns)

    def distinct(name: str) -> int:
        return len(table[name].drop_null().unique())

    def total(values: Any) -> int:
        return pc.call_function("sum", [values]).as_py() or 0

    return {
        "episodes": distinct("episode_id") if episodes is None else episodes,
        "rewrites": total(pc.call_function("not_equal", [table["operation"], "none"])),
        "reviews": total(pc.call_function("greater", [table["queries"], 1])),
        "new_rewrites": distinct("rewrite_request_id"),
        "new_reviews": distinct("review_request_id"),
        "accepted": total(table["accepted"]),
        "guidance": total(table["guidance_queries"]),
    }


def still_open(earlier: Artefact | None, everything: int) -> int:
    """How many of `everything` (episodes, answers) an output asks anew: where it was made before, what failed then."""
    return everything if earlier is None else min(everything, earlier.read_facts(QueryFacts).unanswered)


def rewriting(
    rewriter: Role,
    episodes: int,
    seeds: Collection[Instruction],
    seen: Sequence[EpisodeStats],
    stated: EpisodeStats,
    *,
    most: int | None = None,
    reviews_an_edit: int = 1,
) -> list[QueryForecast]:
    """The rewrites and reviews of `episodes` from `seeds`, likely as many as `seen` before, or as `stated`.

    There may be `most` episodes: more than `episodes` where some can have branches, or ask nothing. Each edit that is
    reviewed takes `reviews_an_edit` queries for it.
    """
    prompts = (*(rewrite_prompt(operation).version for operation in TEXT_OPERATIONS), prompt("review").version)
    sizes = _sizes(tuple(_sample(seeds)), prompts)
    kinds = (
        (rewriter, Purpose.REWRITE, "rewrites", sizes.rewrite_bytes, sizes.rewrite_tokens),
        (Role.REVIEWER, Purpose.REVIEW, "reviews", sizes.review_bytes, VERDICT.max_tokens),
    )
    found = [
        _of_kind(role, purpose, episodes, most or episodes, name, seen, stated, prompt_bytes, max_tokens)
        for role, purpose, name, prompt_bytes, max_tokens in kinds
    ]
    return [kind.times(reviews_an_edit) if kind.purpose is Purpose.REVIEW else kind for kind in found]


@dataclass(frozen=True)
class _Sizes:
    """What queries on some seeds are like."""

    rewrite_bytes: int
    """Mean of the prompts, as below."""
    rewrite_tokens: int
    """The most that a reply may have."""
    review_bytes: int


@lru_cache(maxsize=4)  # a generation with a target forecasts each of its rounds
def _sizes(sample: tuple[Instruction, ...], prompt_versions: tuple[str, ...]) -> _Sizes:
    """Of the rewrites and reviews of `sample`, which depend on `prompt_versions` and on nobody's role."""
    rewrites = [rewrite_query(Role.EXPERT, operation, seed) for seed in sample for operation in TEXT_OPERATIONS]
    return _Sizes(
        mean_bytes(rewrites),
        max(map(reply_limit, rewrites), default=CREATIVE.max_tokens),
        mean_bytes([review_query(seed, seed) for seed in sample]),
    )


def guiding(
    episodes: int, seeds: Collection[Instruction], seen: Sequence[EpisodeStats], *, most: int | None = None
) -> list[QueryForecast]:
    """The guide's queries in `episodes` (`most` at most, by default as many): one a step, or two."""
    sample = [guide_query(seed, [], HORIZON, may_rest=True) for seed in _sample(seeds)]
    guided = [stats for stats in seen if stats.guidance]
    stated = replace(UNTRAINED, guidance=HORIZON / 2)
    low, usual = _rates("guidance", guided, stated)
    bound = (episodes if most is None else most) * HORIZON * ATTEMPTS
    return [
        QueryForecast(
            Role.GUIDE,
            Purpose.GUIDE,
            least=min(bound, int(episodes * low)),
            likely=min(bound, round(episodes * usual)),
            most=bound,
            prompt_bytes=mean_bytes(sample),
            max_tokens=NAMING.max_tokens,
        )
    ]


def answering(least: int, likely: int, most: int, instructions: Collection[Instruction]) -> list[QueryForecast]:
    """The expert's answers to so many instructions, such as `instructions`."""
    size = mean_bytes([respond_query(instruction) for instruction in _sample(instructions)])
    return [QueryForecast(Role.EXPERT, Purpose.RESPOND, least, likely, most, size, CREATIVE.max_tokens)]


def answering_later(
    episodes: int, seeds: Collection[Instruction], seen: Sequence[EpisodeStats], stated: EpisodeStats
) -> list[QueryForecast]:
    """The answers to what `episodes` that are still to be run will accept."""
    low, usual = _rates("accepted", seen, stated)
    most = episodes * HORIZON
    return answering(min(most, int(episodes * low)), min(most, round(episodes * usual)), most, seeds)


def _sample(instructions: Collection[Instruction]) -> list[Instruction]:
    """Some of them, evenly spread."""
    return list(instructions)[:: max(1, len(instructions) // SAMPLED)][:SAMPLED]


def mean_bytes(requests: Sequence[Request]) -> int:
    """Mean size of the prompts in UTF-8; 0 of none."""
    sizes = [sum(len(message.content.encode()) for message in request.messages) for request in requests]
    return round(sum(sizes) / len(sizes)) if sizes else 0


def _of_kind(
    role: Role,
    purpose: Purpose,
    episodes: int,
    most_episodes: int,
    name: str,
    seen: Sequence[EpisodeStats],
    stated: EpisodeStats,
    prompt_bytes: int,
    max_tokens: int,
) -> QueryForecast:
    low, usual = _rates(name, seen, stated)
    _, new = _rates(f"new_{name}", seen, stated)
    most = most_episodes * HORIZON
    return QueryForecast(
        role,
        purpose,
        least=min(most, int(episodes * low)),
        likely=min(most, round(episodes * usual)),
        most=most,
        prompt_bytes=prompt_bytes,
        max_tokens=max_tokens,
        repeated=max(0.0, 1 - new / usual) if usual else 0.0,
    )


def _rates(name: str, seen: Sequence[EpisodeStats], stated: EpisodeStats) -> tuple[float, float]:
    """Least and likely per episode."""
    rates: list[float] = [getattr(stats, name) for stats in seen]
    if not rates:
        usual: float = getattr(stated, name)
        return LEAST_OF_STATED * usual, usual
    return LEAST_OF_SEEN * min(rates), sum(rates) / len(rates)


def episodes_of(stated: EpisodeStats, tried: EpisodeStats | None) -> list[EpisodeStats]:
    """Episodes of as many rewrites as `stated`, with what was `tried` of each; none where nothing was."""
    return [] if tried is None else [tried.at(stated.rewrites)]


def training_questions(
    store: ArtefactStore,
    seeds: dict[str, Instruction],
    training: TrainingConfig,
    output: Output | None,
    tried: EpisodeStats | None = None,
) -> list[QueryForecast]:
    """What a training on `seeds` will still ask, by what earlier trainings asked, or the preflight of its instructor.

    `output` is None where it is unknown, `tried` where nothing was tried.
    """
    episodes = training.iterations * training.episodes_per_iteration
    if output is not None:
        episodes = still_open(output.earlier(store), episodes_left(training, output.unfinished(store)))
    reviews = training.reward.reviews_an_edit
    seen = stats_of(artefact for artefact in store.all_of("trained_policy") if trained_alike(artefact, training))
    if training.looks_ahead:
        seen = [stats.with_tries(reviews) for stats in seen]
    if tried is not None and not seen:
        seen = [tried.at(training.plain_episodes * tried.rewrites)]
    most = episodes * training.most_edits_an_episode // HORIZON
    stated = UNTRAINED.at(training.plain_episodes * UNTRAINED.rewrites)
    asked = rewriting(Role.INSTRUCTOR, episodes, seeds.values(), seen, stated, most=most, reviews_an_edit=reviews)
    return asked + (guiding(episodes, seeds.values(), seen, most=most) if training.asks_guide else [])


def trained_alike(policy: Artefact, training: TrainingConfig) -> bool:
    """Whether a policy was trained by the same algorithm and kind of guide: what an episode asks depends on both.

    The row of table `policies` says it, which an imported policy has as well.
    """
    (row,) = read_rows(policy.path("policies.parquet"), ["algorithm", "config"])
    guide = json.loads(row["config"]).get("guide", "model")
    return (row["algorithm"], guide) == (training.algorithm.name, training.guide)


def episodes_left(training: TrainingConfig, folder: Path) -> int:
    """Episodes that a training has yet to run, given what an interrupted one left in `folder`."""
    path = folder / CHECKPOINT
    done = Checkpoint.load(path).iteration if path.exists() else 0
    return (training.iterations - done) * training.episodes_per_iteration
