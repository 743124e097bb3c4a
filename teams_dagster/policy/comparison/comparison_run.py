"""A comparison as a step runs it: its episodes are written down, and the log says how far it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.environment.episodes import OPEN_EPISODES
from teams_dagster.environment.recording import EpisodeTables, part_folder
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.progress import Progress
from teams_dagster.llm.workers import WorkerPool
from teams_dagster.policy.comparison.compare import Comparison, PlayedBy, allowance_of, compare
from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
from teams_dagster.policy.comparison.dollars import Spending
from teams_dagster.policy.comparison.forecast import comparison_episodes, plain_episodes_of
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.score_table import Kept
from teams_dagster.policy.comparison.searches import search_contenders
from teams_dagster.policy.comparison.share import PlayWork, by_version, open_players
from teams_dagster.policy.comparison.trainings import Trainings
from teams_dagster.pricing.generation_prices import GenerationPrices

PLAYS = "comparison"
"""The part of the tables that holds the compared episodes; the others hold trainings."""


async def run_comparison(
    asking: AbstractAsyncContextManager[Engine],
    trainings: Trainings,
    held_out: Mapping[str, Instruction],
    prices: GenerationPrices | None,
    log: Callable[[str], None],
) -> tuple[Comparison, Kept]:
    """Train what is missing, then play every policy; tables are written into the folder of `trainings`.

    Args:
        asking: Opens the engine.
        held_out: What the policies play on, by id.
        prices: By which a generation pays for edits; None where they are not known.

    Returns the comparison, and what else is needed of its episodes. Raises what `compare` does.
    """
    plan, deployed = trainings.plan, trainings.deployed.config
    if trainings.alone is not None:
        log(trainings.alone)
    kept = Kept(Spending(prices, deployed.reward.saturation))
    total = comparison_episodes(plan, deployed, len(held_out))
    async with (
        asking as engine,
        Progress(total, "episodes", engine.tallies, log, kept="edits accepted") as progress,
    ):
        trained = await trainings.contenders(engine, progress.done, log)
        environment = Environment(engine, Pool(trainings.seeds.values()), deployed.reward, Role.INSTRUCTOR)
        searched, parts = await search_contenders(engine, trainings, progress.done, log)
        kept.parts.extend([*trainings.parts(), *parts, PLAYS])
        kept.asked.update(trainings.asked())
        compared = [*trained, *baseline_contenders(plan.baselines), *searched]
        with EpisodeTables(part_folder(trainings.folder, PLAYS), trainings.run_id) as tables:

            def keep(name: str, by_seed: Mapping[str, SeedPlay]) -> None:
                tables.record([episode for play in by_seed.values() for episode in play.episodes])
                kept.keep(name, by_seed)

            async with _players(trainings, compared, held_out, engine.tallies, log) as played_by:
                comparison = await compare(
                    environment,
                    compared,
                    held_out,
                    plan.config,
                    trained_on=trainings.seeds,
                    sink=keep,
                    on_episode=lambda episode: progress.done(episode.accepted, plain_episodes_of(episode.key.policy)),
                    progress=log,
                    played_by=played_by,
                )
    return comparison, kept


@asynccontextmanager
async def _players(
    trainings: Trainings,
    compared: Sequence[Contender],
    held_out: Mapping[str, Instruction],
    tallies: Tallies,
    log: Callable[[str], None],
) -> AsyncGenerator[PlayedBy | None]:
    """Who plays in the place of this process: those that share the limits of its models; None where it plays itself."""
    asking, config, reward = trainings.sharing, trainings.plan.config, trainings.deployed.config.reward
    if asking is None:
        yield None
        return
    seeds = tuple(trainings.seeds.values())
    work = PlayWork(seeds, reward, by_version(compared), held_out, allowance_of(config, reward), config.root_seed)
    each = -(-OPEN_EPISODES // asking.processes)
    async with WorkerPool(open_players, (work, asking), asking.processes, each, log, tallies) as pool:
        yield pool.call
