"""A comparison as a step runs it: its episodes are written down, and the log says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.environment.recording import EpisodeTables, part_folder
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.progress import Progress
from teams_dagster.policy.comparison.compare import Comparison, compare
from teams_dagster.policy.comparison.contenders import baseline_contenders
from teams_dagster.policy.comparison.dollars import Spending
from teams_dagster.policy.comparison.forecast import comparison_episodes, plain_episodes_of
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.score_table import Kept
from teams_dagster.policy.comparison.searches import search_contenders
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
    kept = Kept(Spending(prices, deployed.reward.saturation))
    total = comparison_episodes(plan, deployed, len(held_out))
    async with (
        asking as engine,
        Progress(total, "episodes", engine.tallies, log, kept="edits accepted") as progress,
    ):
        trained = await trainings.contenders(engine, progress.done, log)
        environment = Environment(engine, Pool(trainings.seeds.values()), deployed.reward, Role.INSTRUCTOR)
        searched, parts = await search_contenders(
            environment, trainings, lambda episode: progress.done(episode.accepted), log
        )
        kept.parts.extend([*trainings.parts(), *parts, PLAYS])
        kept.asked.update(trainings.asked())
        with EpisodeTables(part_folder(trainings.folder, PLAYS), trainings.run_id) as tables:

            def keep(name: str, by_seed: Mapping[str, SeedPlay]) -> None:
                tables.record([episode for play in by_seed.values() for episode in play.episodes])
                kept.keep(name, by_seed)

            comparison = await compare(
                environment,
                [*trained, *baseline_contenders(plan.baselines), *searched],
                held_out,
                plan.config,
                trained_on=trainings.seeds,
                sink=keep,
                on_episode=lambda episode: progress.done(episode.accepted, plain_episodes_of(episode.key.policy)),
                progress=log,
            )
    return comparison, kept
