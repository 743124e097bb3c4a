"""A store of generations that were played and answered as their assets do it, by a model that answers at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from benchmarks.growth.kept_queries import MODEL, RUN, keep
from benchmarks.growth.made_up_store import FIRST_WEEK, made_up_seeds, made_up_text, writing
from benchmarks.llm.big_ledger import made_up_id
from teams_dagster.core.operations import Returns
from teams_dagster.core.protocol import Answer, Completion, ModelIdentity, Outcome, Purpose, Request, Role, Usage
from teams_dagster.dataset.answers import answer_worker
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.generation_facts import generation_content, generation_facts
from teams_dagster.dataset.manifests import prompt_versions
from teams_dagster.dataset.playing import GenerationWork, episode_worker, play_generation, trained_playing
from teams_dagster.dataset.responses import answer_generation, answering_of, response_facts, responses_content
from teams_dagster.dataset.stored import responses_inputs
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.seeds import SeedLibrary
from teams_dagster.instructions.stored_seeds import write_seeds
from teams_dagster.llm.constraints import as_sent
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.keys import request_key
from teams_dagster.policy.baselines import UNIFORM, baseline_version
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import SeedFacts

ROWS_A_GENERATION = 100_000
"""Transitions of one week, at most."""

WIDTH = 256
"""Episodes, or answers, that are open at once."""


def begin_store(folder: Path, size: int) -> ArtefactStore:
    """A store in `folder` with the seeds that generations of together `size` transitions are played from."""
    store = ArtefactStore(str(folder))
    seeds = made_up_seeds(max(1, min(size, ROWS_A_GENERATION) // HORIZON))
    with writing(store, "seed_instructions", None, {}) as draft:
        draft.finish(*write_seeds(draft.folder, SeedLibrary(tuple(seeds), (), "seeds.jsonl", "0" * 64), RUN))
    return store


def weeks(size: int, rows: int = ROWS_A_GENERATION) -> list[str]:
    """The partitions of the generations of `size` transitions, of so many rows each."""
    count = -(-size // rows)
    return [(FIRST_WEEK + timedelta(weeks=number)).isoformat() for number in range(count)]


def play(store: ArtefactStore, week: str, model: QuickModel) -> None:
    """Play the generation of `week` from every seed, by the uniform policy."""
    manifest = _manifest(store, week)
    with writing(store, "generated_instructions", week, {"generation": manifest.version}) as draft:
        players = episode_worker(GenerationWork(store, manifest), model.asking("generated_instructions", week))
        play_generation(draft.folder, RUN, trained_playing(store, manifest), players, width=WIDTH, log=_say_nothing)
        draft.finish(generation_content(draft.folder, manifest), generation_facts(draft.folder, {}))


def answer(store: ArtefactStore, week: str, model: QuickModel) -> None:
    """Have the accepted instructions of the generation of `week` answered."""
    generated = store.current("generated_instructions", week)
    work = answering_of(generated)
    with writing(store, "expert_responses", week, responses_inputs(generated)) as draft:
        workers = answer_worker(work, model.asking("expert_responses", week))
        answer_generation(draft.folder, RUN, generated, work, workers, width=WIDTH, paid_before=None, log=_say_nothing)
        draft.finish(responses_content(draft.folder, generated), response_facts(draft.folder, generated, {}))


def play_all(folder: Path, size: int, kept: Path) -> ArtefactStore:
    """Every generation of `size` transitions, played and written down, without answers; queries appended to `kept`."""
    store = begin_store(folder, size)
    with kept.open("ab") as queries:
        model = QuickModel(queries)
        for week in weeks(size):
            play(store, week, model)
    return store


def answer_all(store: ArtefactStore, kept: Path) -> None:
    """Answers to every generation; queries appended to `kept`."""
    with kept.open("ab") as queries:
        model = QuickModel(queries)
        for week in store.partitions("generated_instructions"):
            answer(store, week, model)


def _manifest(store: ArtefactStore, week: str) -> GenerationManifest:
    seeds = store.current("seed_instructions")
    count = seeds.read_facts(SeedFacts).seeds
    number = (date.fromisoformat(week) - FIRST_WEEK).days // 7
    return GenerationManifest(
        partition_key=week,
        policy_version=baseline_version(UNIFORM),
        seeds_version=seeds.data_version,
        replicas=tuple(sorted((made_up_id("seed", place), number) for place in range(count))),
        prompt_versions=tuple(sorted(prompt_versions().items())),
        models=(("expert", MODEL), ("reviewer", MODEL)),
        root_seed=0,
    )


def _say_nothing(_: str) -> None:
    """Nobody listens."""


@dataclass
class QuickModel:
    """A client that answers at once: new words to a rewrite and to an answer, `Not Equal` to a review.

    Every query is appended to `kept`, which a ledger can be made of.
    """

    kept: BinaryIO
    tallies: Tallies = field(default_factory=Tallies)
    _place: tuple[str, str] = ("", "")

    @asynccontextmanager
    async def asking(self, asset_key: str, week: str) -> AsyncGenerator[Engine]:
        """The client of one step."""
        self._place = asset_key, week
        yield cast(Engine, self)  # of an engine, steps use what this has

    def identity(self, role: Role) -> ModelIdentity:
        """The same for every role."""
        return MODEL

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer, after others had their turn."""
        await asyncio.sleep(0)
        key = request_key(MODEL, as_sent(request, MODEL))
        completion = Completion(_said(request, key), "stop", Outcome.USABLE, Usage(200, 0, 100))
        made = Answer(completion, made_up_id(key, 0), key, reused=False)
        keep(self.kept, request, made, self._place, {"transition_id": transition_id, "sample_id": sample_id})
        return made


def _said(request: Request, key: str) -> str:
    if request.intent.purpose is Purpose.REVIEW:
        return "Not Equal"
    chance = random.Random(key)
    if request.intent.purpose is Purpose.RESPOND:
        return f"It is {made_up_text(chance, 80)}."
    told = f"Explain {made_up_text(chance, 30)}."
    operation = request.intent.operation
    both = operation is not None and operation.returns is Returns.INSTRUCTION_AND_INPUT
    return f"Instruction: {told}\nInput: {made_up_text(chance, 20)}" if both else told
