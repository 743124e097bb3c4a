"""The arms of a study: each plays and answers until its queries are used up, and keeps the pairs that it can.

A query is what it is everywhere: every rewrite, review and answer that an arm needed, paid or reused. A rewrite that is
accepted is answered, so its answer is counted with it. The trained policy's two arms play the same episodes, one of
them fewer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import uniform
from teams_dagster.dataset.generation import ROUND_STRIDE
from teams_dagster.dataset.sample import Example, accepted_in
from teams_dagster.environment.episodes import EpisodePlan
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON, Episode, EpisodeKey, EpisodePurpose, Transition
from teams_dagster.evaluation.outcome.plan import SEEDS_ANSWERED, TRAINED_COUNTED, OutcomePlan
from teams_dagster.instructions.near_duplicates import duplicate_index
from teams_dagster.llm.ordered import in_order
from teams_dagster.policy.baselines import GENERIC_PROMPT, UNIFORM, GenericPrompt, Uniform, baseline_version
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.playing import Player

OUTCOME = "outcome study"
"""In the names of the study's random streams."""


@dataclass(frozen=True)
class ArmPairs:
    """What an arm came to: the pairs that its students' rows are drawn from."""

    arm: str
    pairs: tuple[Example, ...]
    """No two of them are near duplicates."""
    asked: int
    """Its queries, answers included."""
    duplicates: int
    """Pairs left out because an earlier one is nearly the same."""
    refused: int
    """Answers that an elimination rule refused."""
    unanswered: int
    """Queries without an answer, rewrites and reviews included."""


def players(checkpoint: Checkpoint) -> dict[str, Player]:
    """Who plays each arm that rewrites."""
    trained = Player(TRAINED, checkpoint.policy_version, checkpoint.actor(), deterministic=False)
    return {
        TRAINED: trained,
        TRAINED_COUNTED: trained,
        UNIFORM: Player(UNIFORM, baseline_version(UNIFORM), Uniform(), deterministic=False),
        GENERIC_PROMPT: Player(GENERIC_PROMPT, baseline_version(GENERIC_PROMPT), GenericPrompt(), deterministic=False),
    }


def study_seeds(library: Mapping[str, Instruction], plan: OutcomePlan) -> dict[str, Instruction]:
    """The seeds that every arm starts from, in the order that they are played in: by lot."""
    drawn = sorted(library, key=lambda seed_id: uniform(OUTCOME, "seeds", plan.root_seed, seed_id))
    return {seed_id: library[seed_id] for seed_id in drawn[: plan.seeds]}


def episode_plans(player: Player, seeds: Mapping[str, Instruction], plan: OutcomePlan) -> Iterator[EpisodePlan]:
    """Rounds of one episode from each seed, without end; a further one asks for other answers."""
    for number in count():
        for seed_id, seed in seeds.items():
            key = EpisodeKey(
                root_seed=plan.root_seed,
                purpose=EpisodePurpose.COMPARE,
                policy=player.name,
                policy_version=player.version,
                seed_id=seed_id,
                episode=number,
                replica=number * ROUND_STRIDE,
            )
            yield EpisodePlan(key, seed)


async def play_arm(
    play: Callable[[EpisodePlan], Coroutine[Any, Any, Episode]],
    plans: Iterator[EpisodePlan],
    queries: int,
    reward: RewardConfig,
    *,
    width: int,
) -> AsyncGenerator[Episode]:
    """Episodes in the order of `plans`, the last one cut where the next transition and its answer cost too much.

    Never are more episodes begun than could be paid for with what is left. Ends, too, where a round asks nothing.
    """
    left, an_episode = queries, reward.queries_an_episode + HORIZON
    while left > 0:
        before = left
        round_of = islice(plans, max(1, left // an_episode))
        async with aclosing(in_order(play, round_of, width)) as stream:
            async for episode in stream:
                kept = _affordable(episode, left)
                left -= sum(map(price, kept.recorded))
                if kept.recorded:
                    yield kept
                if kept is not episode:
                    return
        if left == before:
            return


def price(transition: Transition) -> int:
    """The queries of a transition, with the answer that it is given where it is accepted."""
    return transition.queries + transition.guidance_queries + transition.accepted


def _affordable(episode: Episode, queries: int) -> Episode:
    """`episode` up to its last transition within so many queries: itself where all of it is."""
    kept: list[Transition] = []
    for transition in episode.recorded:
        queries -= price(transition)
        if queries < 0:
            states = episode.states[: len(kept) + 1]
            return replace(episode, states=states, transitions=tuple(kept), failed=None)
        kept.append(transition)
    return episode


@dataclass(frozen=True)
class Unanswered:
    """An instruction of an arm that waits for its answer."""

    sample_id: str
    seed_id: str
    instruction: Instruction
    transition_id: str | None = None
    """None for a seed."""


@dataclass(frozen=True)
class Answered:
    """What came of it."""

    of: Unanswered
    response: str | None
    """None where no answer came."""
    kept: bool
    """Whether the elimination rules keep it."""


def rewritten(episodes: Sequence[Episode]) -> list[Unanswered]:
    """The accepted instructions of episodes."""
    return [
        Unanswered(one.transition_id, one.seed_id, one.instruction, one.transition_id)
        for episode in episodes
        for one in accepted_in(episode)
    ]


def seeds_alone(seeds: Mapping[str, Instruction], queries: int) -> list[Unanswered]:
    """The seeds themselves, as many as there are queries for."""
    chosen = islice(seeds.items(), queries)
    return [Unanswered(content_hash(SEEDS_ANSWERED, seed_id), seed_id, seed) for seed_id, seed in chosen]


async def answer_all(
    answer: Callable[[Unanswered], Coroutine[Any, Any, Answered]],
    arm: str,
    waiting: Sequence[Unanswered],
    *,
    asked: int,
    failed: int,
    width: int,
) -> ArmPairs:
    """Have the expert answer what waits, and keep what may be kept: of near duplicates the first.

    `asked` and `failed` are the queries that rewriting and reviewing took, and those of them without an answer.
    """
    index = duplicate_index()
    pairs: list[Example] = []
    duplicates = refused = 0

    async with aclosing(in_order(answer, waiting, width)) as answers:
        async for answered in answers:
            one, response = answered.of, answered.response
            failed += response is None
            refused += response is not None and not answered.kept
            if response is None or not answered.kept:
                continue
            if index.matches(one.instruction):
                duplicates += 1
                continue
            index.add(one.sample_id, one.instruction)
            pairs.append(Example(one.sample_id, one.seed_id, one.instruction, response))
    return ArmPairs(arm, tuple(pairs), asked + len(waiting), duplicates, refused, failed)


def draw_rows(kept: ArmPairs, plan: OutcomePlan, student: int) -> list[Example]:
    """The rows of an arm's student: a lot of its own from its pairs; from the beginning again where there are too few.

    Raises ValueError for an arm without a pair.
    """
    if not kept.pairs:
        raise ValueError(
            f"arm {kept.arm} of outcome_scores kept no pair of the {kept.asked:,} queries it asked: raise `queries`"
        )

    def lot(pair: Example) -> float:
        return uniform(OUTCOME, "rows", plan.root_seed, student, pair.sample_id)

    drawn = sorted(kept.pairs, key=lot)
    return [drawn[number % len(drawn)] for number in range(plan.rows)]
