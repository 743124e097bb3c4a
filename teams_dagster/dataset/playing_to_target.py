"""A generation that is played until the dataset has exactly so many samples of it.

Only what was answered and curated counts, and where a threshold of scores acts, only what passed it. So answers and
ratings are bought here, round by round: the queries are those of `expert_responses` and `pair_scores`, which find all
of them on the ledger and send none. That keeps one asset the only one that decides how far a generation goes, and
leaves a dataset where a budget ends it: every instruction that is recorded has its answers and their ratings. Samples
are counted by what makes the dataset itself (`select_examples`), beside every other generation as it is; what a round
brings beyond the target is left out there, in canonical order.

The episodes are always the same in the same order, whatever the target: each seed once as they were drawn, then each
again for other answers. Rounds are sized by what whole rounds brought, never by what arrived first. So a larger target,
or a larger budget, goes on from what is paid, and the same answers give the same generation at any concurrency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from teams_dagster.dataset.answers import Answering, answer_transitions
from teams_dagster.dataset.gating import gate_as_played
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.playing import (
    GenerationWork,
    episode_plans,
    generation_actor,
    generation_environment,
    generation_seeds,
    write_generation,
)
from teams_dagster.dataset.sample import Sample, accepted_in
from teams_dagster.dataset.target import Kept, Spending, episodes_afforded, episodes_needed, shortfall_sentence
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.episodes import EpisodePlan, run_episode
from teams_dagster.environment.recording import EpisodeTables
from teams_dagster.environment.state import HORIZON, Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.ledger.budgets import BudgetExhausted
from teams_dagster.llm import loop
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.progress import Progress, spent_so_far
from teams_dagster.llm.workers import LocalWorker, Worker
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts

Played = tuple[Episode, list[Sample]]
"""An episode, and a sample for each transition that it accepted, refused where its score is too low."""


@dataclass(frozen=True)
class TargetSources:
    """What tells how far a generation with a target is to be played."""

    count: Callable[[Sequence[Sample]], Kept]
    """What of these samples of the generation would stand in the dataset."""
    affordable: Callable[[int], float]
    """How many times over the budgets likely pay so many further episodes with their answers."""


@dataclass(frozen=True)
class Ended:
    """How a generation with a target ended."""

    kept: int
    """Samples of it that stand after curation, those beyond the target included."""
    missed: str | None
    """Why these are too few, and what the target would take."""
    out_of_budget: bool = False


def play_to_target(
    folder: Path,
    run_id: str,
    store: ArtefactStore,
    manifest: GenerationManifest,
    sources: TargetSources,
    players: AbstractAsyncContextManager[Worker[EpisodePlan, Played]],
    *,
    width: int,
    log: Callable[[str], None],
) -> Ended:
    """Play a generation to its target and write it into `folder`: its tables, the prompts and its manifest.

    Args:
        folder: Where the tables `transitions`, `instructions`, `generations` and `prompt_templates` are written.
        run_id: The run that each row names.
        store: Holds its seeds and its policy.
        manifest: The generation, with its target.
        sources: Count what it has, and say what the budgets pay.
        players: Opens who plays it, by `target_worker`.
        width: Episodes that may be open at once.
        log: Told of the progress.

    Raises ValueError for a manifest without a target, BudgetExhausted where no episode could be paid.
    """
    target = manifest.target_samples
    if target is None:
        raise ValueError(f"generation {manifest.partition_key} has no target: play it with play_generation")

    async def played() -> Ended:
        async with players as player:
            with EpisodeTables(folder, run_id) as tables:
                rounds = _Rounds(store, manifest, target, sources, player, tables, width, log)
                return await rounds.play()

    ended = loop.run(played())
    write_generation(folder, run_id, manifest)
    return ended


def facts_to_target(facts: GenerationFacts, manifest: GenerationManifest, ended: Ended) -> GenerationFacts:
    """What came of a generation, with how it ended."""
    found = {
        "target_samples": manifest.target_samples,
        "target_kept": min(ended.kept, manifest.target_samples or 0),
        "curated": ended.kept,
        "target_missed": ended.missed,
        "out_of_budget": ended.out_of_budget,
    }
    return facts.model_copy(update=found)


@asynccontextmanager
async def target_worker(
    work: GenerationWork, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[EpisodePlan, Played]]:
    """Plays episodes of a generation with a target, and has what they accept answered and rated."""
    async with asking as engine:
        environment, checkpoint = generation_environment(work.store, work.manifest, engine)
        player = _Player(environment, generation_actor(work.manifest, checkpoint), engine, work.manifest)
        yield LocalWorker(player.play, engine.tallies)


class _Rounds:
    """The rounds of one generation."""

    def __init__(
        self,
        store: ArtefactStore,
        manifest: GenerationManifest,
        target: int,
        sources: TargetSources,
        player: Worker[EpisodePlan, Played],
        tables: EpisodeTables,
        width: int,
        log: Callable[[str], None],
    ) -> None:
        seeds = generation_seeds(store, manifest)
        self._plans = episode_plans(manifest, seeds)
        self._left = manifest.episodes_per_seed * len(seeds)
        self._manifest, self._target, self._sources, self._player = manifest, target, sources, player
        self._tables, self._width, self._log = tables, width, log
        self._samples: list[Sample] = []
        self._played = 0
        self._played_when_new = 0
        """Episodes that were played when the last sample was new."""

    async def play(self) -> Ended:
        """Rounds until the target is reached, or something ends them."""
        kept, number = Kept(0, complete=False), 0
        while not kept.reaches(self._target):
            if (because := self._exhausted()) is not None:
                return self._ended(kept, because)
            wanted = min(self._left, episodes_needed(self._target, kept, self._played))
            size = episodes_afforded(wanted, self._sources.affordable(wanted))
            number += 1
            stopped = await self._round(size, number)
            if stopped is not None and not self._played:
                raise stopped
            before, kept = kept, self._sources.count(self._samples)
            if kept.samples > before.samples:
                self._played_when_new = self._played
            self._tell(kept)
            if stopped is not None and not kept.reaches(self._target):
                return replace(self._ended(kept, str(stopped)), out_of_budget=True)
        return Ended(kept.samples, None)

    async def _round(self, size: int, number: int) -> BudgetExhausted | None:
        """Play so many episodes and have them answered; what ended them before, where a budget did."""
        plans = islice(self._plans, size)
        named = f"episodes of round {number}"
        async with (
            Progress(
                size, named, self._player.tallies, self._log, kept="answers accepted", each="an accepted answer"
            ) as progress,
            aclosing(in_order(self._player.call, plans, self._width)) as results,
        ):
            try:
                async for episode, samples in results:
                    self._tables.record([episode])
                    self._samples += samples
                    self._played += 1
                    self._left -= 1
                    progress.done(sum(sample.accepted for sample in samples))
            except BudgetExhausted as exhausted:
                return exhausted
        return None

    def _tell(self, kept: Kept) -> None:
        empty = "" if kept.complete else ", but none on a side of the split yet"
        self._log(
            f"{min(kept.samples, self._target):,} of {self._target:,} samples after curation{empty}, in"
            f" {self._played:,} episodes; {spent_so_far(self._player.tallies)}"
        )

    def _exhausted(self) -> str | None:
        """Why no further episode would help."""
        seeds = len(self._manifest.replicas)
        if not self._left:
            return (
                f"{self._manifest.episodes_per_seed} episodes were played from each of {seeds} seeds: raise"
                " `episodes_per_seed`, or begin the generation again with more `seeds`"
            )
        if self._played - self._played_when_new >= seeds:
            return f"the last {seeds} episodes, one from each seed, brought nothing new: add seeds"
        return None

    def _ended(self, kept: Kept, because: str) -> Ended:
        tallies = self._player.tallies
        nano_usd = None if tallies.unpriced else tallies.cost_nano_usd
        spending = Spending(tallies.asked, tallies.asked - tallies.reused, nano_usd)
        refused = Counter(sample.reason for sample in self._samples if sample.reason is not None)
        why = shortfall_sentence(self._target, kept, because, spending, refused)
        self._log(why)
        return Ended(kept.samples, why)


@dataclass(frozen=True)
class _Player:
    """Plays an episode and has what it accepted answered, and rated where that decides."""

    environment: Environment
    actor: Actor
    engine: Engine
    manifest: GenerationManifest

    async def play(self, plan: EpisodePlan) -> Played:
        """Play the episode, and have it answered and rated."""
        counted = self.manifest.counted
        episode = await run_episode(self.environment, self.actor, plan)
        answering = Answering(
            dict(self.manifest.replicas), self.manifest.partition_key, counted.answers, counted.reasoning_words
        )
        answered = answer_transitions(self.engine, accepted_in(episode), answering, width=HORIZON)
        async with aclosing(answered) as samples:
            made = [sample async for sample in samples]
        return episode, await gate_as_played(self.engine, made, counted, width=HORIZON * counted.answers)
