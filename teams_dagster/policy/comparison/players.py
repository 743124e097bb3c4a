"""Who plays the policies of a comparison: the step's own process, or several beside it that divide the seeds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.llm.workers import LocalWorker
from teams_dagster.policy.comparison.contenders import Contender
from teams_dagster.policy.comparison.playing import Allowance, Player, SeedPlay, play_seed
from teams_dagster.policy.comparison.share import EngineFactory


@dataclass(frozen=True)
class Play:
    """One policy on one evaluation seed."""

    policy: str
    version: str
    seed_id: str


@dataclass(frozen=True)
class PlayWork:
    """What whoever plays needs, as values."""

    trained_on: tuple[Instruction, ...]
    """The pool that novelty is measured against."""
    reward: RewardConfig
    players: Mapping[tuple[str, str], Player]
    """By name and policy version."""
    seeds: Mapping[str, Instruction]
    """What is played on, by id."""
    allowance: Allowance
    root_seed: int

    async def play(self, environment: Environment, wanted: Play) -> SeedPlay:
        """What a policy does from a seed."""
        player, seed = self.players[wanted.policy, wanted.version], self.seeds[wanted.seed_id]
        return await play_seed(environment, player, wanted.seed_id, seed, self.allowance, self.root_seed)


def players_of(contender: Contender) -> list[Player]:
    """A policy under each of its training seeds."""
    return [
        Player(contender.name, version, decider, contender.deterministic)
        for decider, version in zip(contender.deciders, contender.versions, strict=True)
    ]


def by_version(compared: Sequence[Contender]) -> dict[tuple[str, str], Player]:
    """Every player of `compared`, by name and policy version."""
    return {(player.name, player.version): player for contender in compared for player in players_of(contender)}


@asynccontextmanager
async def open_players(
    job: tuple[PlayWork, EngineFactory], say: Callable[[str], None]
) -> AsyncGenerator[LocalWorker[Play, SeedPlay]]:
    """Plays policies of a comparison in the process that calls it, for `workers.WorkerPool`."""
    work, asking = job
    async with asking.engine(say) as engine:
        environment = Environment(engine, Pool(work.trained_on), work.reward, Role.INSTRUCTOR)
        yield LocalWorker(partial(work.play, environment), engine.tallies)
