"""The searched rules of a comparison: each is searched as often as the policy is trained, on as many queries.

A search that was interrupted is made again: its answers are on the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.environment.recording import recording, training_parts
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.processes import in_processes
from teams_dagster.policy.comparison.contenders import Contender
from teams_dagster.policy.comparison.share import AT_ONCE, Done, EngineFactory, Heard, Reporter, hearing
from teams_dagster.policy.comparison.trainings import Trainings
from teams_dagster.policy.searched.searches import SEARCHES, Searched, never_draws, searched_version
from teams_dagster.policy.searched.trial import Trial


@dataclass(frozen=True)
class Search:
    """One search of the comparison."""

    name: str
    root_seed: int

    @property
    def part(self) -> str:
        """What the parts of the tables that hold it begin with."""
        return f"{self.name}-{self.root_seed}"


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    search: Search
    actor: Searched
    rounds: int
    asked: int
    """Queries."""

    def __str__(self) -> str:
        """For the log."""
        return f"searched {self.search.name} with root seed {self.search.root_seed}, {self.asked} queries: {self.actor}"


@dataclass(frozen=True)
class SearchShare:
    """What a process searches, with as many queries each as the deployed policy's training asked, on its seeds."""

    searches: tuple[Search, ...]
    seeds: Mapping[str, Instruction]
    """By id."""
    reward: RewardConfig
    queries: int
    allowed: tuple[Operation, ...]
    gamma: float
    folder: Path
    """The comparison's."""
    run_id: str


async def search_share(
    client: LLMClient,
    share: SearchShare,
    done: Done,
    found: Callable[[Found], object],
    on_round: Callable[[], object] = lambda: None,
) -> None:
    """Make every search of `share`; `found` gets what each came to, in their order."""
    environment = Environment(client, Pool(share.seeds.values()), share.reward, Role.INSTRUCTOR)

    def begun(search: Search) -> Coroutine[Any, Any, Found]:
        return _search(environment, share, search, done, on_round)

    async with aclosing(in_order(begun, share.searches, AT_ONCE)) as ended:
        async for one in ended:
            found(one)


async def search_elsewhere(job: tuple[SearchShare, EngineFactory], tell: Callable[[Heard | Found], None]) -> None:
    """The same in a process of its own, with an engine of its own; tells what it did after each round."""
    share, asking = job
    async with asking.engine() as engine:
        report = Reporter(engine, tell)
        await search_share(engine, share, report.done, tell, report.tell)
        report.tell()


async def search_contenders(
    engine: Engine, trainings: Trainings, done: Done, say: Callable[[str], None]
) -> tuple[list[Contender], list[str]]:
    """The searched rules of the plan, and the parts of the tables that their episodes were written to.

    Neither how many processes search nor which of them searches what makes a difference to what comes out.
    """
    share = _share(trainings)
    found: dict[Search, Found] = {}

    def keep(one: Found) -> None:
        found[one.search] = one
        say(str(one))

    asking = trainings.sharing
    processes = 1 if asking is None else min(asking.processes, len(share.searches))
    if asking is None or processes < 2:
        await search_share(engine, share, done, keep)
    else:
        listen = hearing(engine, done, say)

        def hear(told: Heard | Found) -> None:
            if isinstance(told, Found):
                keep(told)
            else:
                listen(told)

        shares = [replace(share, searches=share.searches[first::processes]) for first in range(processes)]
        await in_processes(search_elsewhere, [(one, asking) for one in shares], hear)
    ended = [found[search] for search in share.searches]
    parts = [part for one in ended for part in training_parts(one.rounds, one.search.part)]
    return [_contender(name, ended) for name in trainings.plan.searched], parts


def _contender(name: str, ended: Sequence[Found]) -> Contender:
    own = [one for one in ended if one.search.name == name]
    versions = tuple(searched_version(name, one.search.root_seed, one.actor) for one in own)
    actors = tuple(one.actor for one in own)
    return Contender(name, actors, versions, all(map(never_draws, actors)))


def _share(trainings: Trainings) -> SearchShare:
    deployed, plan = trainings.deployed, trainings.plan
    first = deployed.config.root_seed
    return SearchShare(
        tuple(Search(name, first + number) for name in plan.searched for number in range(plan.training_seeds)),
        trainings.seeds,
        deployed.config.reward,
        queries=sum(record.queries for record in deployed.curve),
        allowed=deployed.config.allowed_operations,
        gamma=deployed.config.gamma,
        folder=trainings.folder,
        run_id=trainings.run_id,
    )


async def _search(
    environment: Environment, share: SearchShare, search: Search, done: Done, on_round: Callable[[], object]
) -> Found:
    write = recording(share.folder, share.run_id, search.part)

    def sink(number: int, episodes: Sequence[Episode]) -> None:
        write(number, episodes)
        on_round()

    trial = Trial(
        environment,
        share.seeds,
        search.name,
        search.root_seed,
        share.queries,
        share.allowed,
        share.gamma,
        sink=sink,
        on_episode=lambda episode: done(episode.accepted, 1.0),
    )
    actor = await SEARCHES[search.name](trial)
    return Found(search, actor, trial.rounds, trial.asked)
