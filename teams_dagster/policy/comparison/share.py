"""Trainings of the comparison that one process makes. Knows no Dagster, so that a process of its own is small."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.environment.recording import recording
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.workers import LocalWorker
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.policy.comparison.contenders import REFERENCE, TRAINED, TRAINED_BY_GRADED, Contender
from teams_dagster.policy.comparison.playing import Allowance, Player, SeedPlay, play_seed
from teams_dagster.policy.config import TrainingConfig, reference_training

Done = Callable[[int, float], object]
"""Hears of each episode how many of its edits were accepted, and how many plain ones it counts as.

With an episode its branches are counted, and what a look-ahead tries: those count as none.
"""

TRAININGS = "trainings"

AT_ONCE = 4
"""Trainings under way at once: while one learns or waits for the last answers of a batch, others ask."""


@dataclass(frozen=True)
class Training:
    """One training of the comparison."""

    name: str
    config: TrainingConfig

    @property
    def part(self) -> str:
        """The name of the folder that holds it."""
        return f"{self.name}-{self.config.root_seed}"

    def ablated(self) -> Training:
        """The same, reading only what its name says, or rewarded as it says, the reward's options alike.

        Raises ValueError, naming `price` and `ablations`, where `graded` refuses the price a query that `dollars` did
        not look at.
        """
        if self.name == TRAINED:
            return self
        if self.name == TRAINED_BY_GRADED:
            return replace(self, config=self.config.model_copy(update={"reward": _graded(self.config.reward)}))
        if self.name == REFERENCE:
            return replace(self, config=reference_training(self.config.root_seed))
        features = self.config.features.model_copy(update={"ablation": self.name})
        return replace(self, config=self.config.model_copy(update={"features": features}))

    def checkpoint(self, folder: Path) -> Path:
        """Where it is kept in a comparison's folder."""
        return folder / TRAININGS / self.part / CHECKPOINT


def _graded(dollars: RewardConfig) -> RewardConfig:
    """The same options under preset `graded`. Raises ValueError where it refuses the price."""
    try:
        return RewardConfig.model_validate(dollars.model_dump() | {"preset": RewardPreset.GRADED, "dollars": None})
    except ValidationError as error:
        raise ValueError(
            f"{TRAINED_BY_GRADED} cannot be trained: the policy was trained by reward `dollars` with `price`"
            f" {dollars.price}, which that reward does not look at and `graded` refuses ({error.errors()[0]['msg']})."
            f" Leave {TRAINED_BY_GRADED} out of `ablations`, or train the policy with a `price` below"
            f" {1 / dollars.queries_an_edit:.2f}"
        ) from error


@dataclass(frozen=True)
class Share:
    """What a process trains."""

    trainings: tuple[Training, ...]
    seeds: dict[str, Instruction]
    """What is trained on, by id."""
    reference: Checkpoint | None
    """The policy that the deployed one was kept near to."""
    folder: Path
    """The comparison's: an interrupted training goes on after its last iteration."""
    run_id: str
    base: str | None = None
    """Where the student lies, where the policies read with it."""

    @property
    def at_once(self) -> int:
        """Trainings under way at once; one where language models learn, each of which fills processor and memory."""
        return 1 if any(training.config.reads_prompts for training in self.trainings) else AT_ONCE


@dataclass(frozen=True)
class Heard:
    """What a process did since it last said so."""

    episodes: tuple[tuple[int, float], ...]
    """As `Done` hears of each."""
    tallies: Tallies
    line: str | None = None
    """For the log."""


class Reporter:
    """Collects what a process does, and tells its parent."""

    def __init__(self, engine: Engine, tell: Callable[[Heard], None]) -> None:
        self._engine, self._tell = engine, tell
        self._episodes: list[tuple[int, float]] = []
        self._told = Tallies()

    def done(self, accepted: int, counts: float) -> None:
        """Hears of an episode."""
        self._episodes.append((accepted, counts))

    def tell(self, line: str | None = None) -> None:
        """Tell what was done since it last was told, with a line for the log."""
        tallies = self._engine.tallies
        self._tell(Heard(tuple(self._episodes), tallies.since(self._told), line))
        self._episodes.clear()
        self._told = tallies.copy()


def hearing(engine: Engine, done: Done, say: Callable[[str], None]) -> Callable[[Heard], None]:
    """What the parent of such processes does with what it hears."""

    def hear(heard: Heard) -> None:
        engine.tallies.add(heard.tallies)
        for episode in heard.episodes:
            done(*episode)
        if heard.line is not None:
            say(heard.line)

    return hear


class EngineFactory(Protocol):
    """Opens an engine in whichever process it was sent to: it can be pickled."""

    @property
    def processes(self) -> int:
        """How many share the limits of a model; 1 where there are none to share."""
        ...

    def engine(self, say: Callable[[str], None] = ...) -> AbstractAsyncContextManager[Engine]:
        """An engine with connections of its own, which the block closes; `say` is told what slows it down."""
        ...


async def train_share(
    client: LLMClient,
    share: Share,
    done: Done,
    say: Callable[[str], None],
    on_iteration: Callable[[], None] = lambda: None,
) -> None:
    """Train everything in `share`. Raises what `policy.training.train` does."""

    def begun(training: Training) -> Coroutine[Any, Any, Checkpoint]:
        return _train(client, share, training, done, on_iteration)

    async with aclosing(in_order(begun, share.trainings, share.at_once)) as checkpoints:
        for training in share.trainings:
            checkpoint = await anext(checkpoints)
            last = checkpoint.curve[-1]
            say(
                f"trained {training.name} with root seed {training.config.root_seed}: in its last iteration return"
                f" {last.mean_return:.3f}, accepted per query {last.accepted_per_query:.3f}"
            )


async def train_elsewhere(job: tuple[Share, EngineFactory], tell: Callable[[Heard], None]) -> None:
    """The same in a process of its own, with an engine of its own; tells what it did after each iteration."""
    share, asking = job
    async with asking.engine() as engine:
        report = Reporter(engine, tell)
        await train_share(engine, share, report.done, report.tell, report.tell)


async def _train(
    client: LLMClient,
    share: Share,
    training: Training,
    done: Done,
    on_iteration: Callable[[], None],
) -> Checkpoint:
    from teams_dagster.policy.training import train

    def on_episode(episode: Episode) -> None:
        done(episode.accepted, 0.0 if episode.key.branch else training.config.plain_episodes)

    return await train(
        client,
        share.seeds,
        training.config,
        training.checkpoint(share.folder),
        name=training.name,
        reference=share.reference,
        base=share.base,
        sink=recording(share.folder, share.run_id, training.part),
        on_episode=on_episode,
        progress=lambda _: on_iteration(),
    )


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
