"""A store of generations that were played and answered as their assets do it, by a model that answers at once."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from benchmarks.growth.made_up_store import FIRST_WEEK, made_up_seeds, made_up_text, writing
from benchmarks.llm.big_ledger import insert, made_up_id
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
from teams_dagster.ledger import schema
from teams_dagster.ledger.database import open_database, sqlite_url
from teams_dagster.llm.constraints import as_sent
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.keys import request_key, use_id
from teams_dagster.policy.baselines import UNIFORM, baseline_version
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import SeedFacts

ROWS_A_GENERATION = 100_000
"""Transitions of one week, at most."""

WIDTH = 256
"""Episodes, or answers, that are open at once."""

MODEL = ModelIdentity("openai", "model", "https://models.example/v1")

_RUN = "run-1"
_ASKED_AT = 1_760_000_000_000_000
_QUERIES_AT_ONCE = 20_000
_TOKENS = {"prompt_tokens": 200, "cached_tokens": 0, "completion_tokens": 100}


def begin_store(folder: Path, size: int) -> ArtefactStore:
    """A store in `folder` with the seeds that generations of together `size` transitions are played from."""
    store = ArtefactStore(str(folder))
    seeds = made_up_seeds(max(1, min(size, ROWS_A_GENERATION) // HORIZON))
    with writing(store, "seed_instructions", None, {}) as draft:
        draft.finish(*write_seeds(draft.folder, SeedLibrary(tuple(seeds), (), "seeds.jsonl", "0" * 64), _RUN))
    return store


def weeks(size: int) -> list[str]:
    """The partitions of the generations of `size` transitions."""
    count = -(-size // ROWS_A_GENERATION)
    return [(FIRST_WEEK + timedelta(weeks=number)).isoformat() for number in range(count)]


def play(store: ArtefactStore, week: str, model: QuickModel) -> None:
    """Play the generation of `week` from every seed, by the uniform policy."""
    manifest = _manifest(store, week)
    with writing(store, "generated_instructions", week, {"generation": manifest.version}) as draft:
        players = episode_worker(GenerationWork(store, manifest), model.asking("generated_instructions", week))
        play_generation(draft.folder, _RUN, trained_playing(store, manifest), players, width=WIDTH, log=_say_nothing)
        draft.finish(generation_content(draft.folder, manifest), generation_facts(draft.folder, {}))


def answer(store: ArtefactStore, week: str, model: QuickModel) -> None:
    """Have the accepted instructions of the generation of `week` answered."""
    generated = store.current("generated_instructions", week)
    work = answering_of(generated)
    with writing(store, "expert_responses", week, responses_inputs(generated)) as draft:
        workers = answer_worker(work, model.asking("expert_responses", week))
        answer_generation(draft.folder, _RUN, generated, work, workers, width=WIDTH, paid_before=None, log=_say_nothing)
        draft.finish(responses_content(draft.folder, generated), response_facts(draft.folder, generated, {}))


def play_store(folder: Path, size: int) -> ArtefactStore:
    """A store in `folder` of generations of together `size` transitions, with the ledger of their queries."""
    store = begin_store(folder, size)
    open_database(sqlite_url(folder / "ledger.sqlite")).dispose()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        model = QuickModel(connection)
        for week in weeks(size):
            play(store, week, model)
            answer(store, week, model)
    return store


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

    Where it has a ledger, every query is written there, so many at a time.
    """

    ledger: sqlite3.Connection | None = None
    tallies: Tallies = field(default_factory=Tallies)
    _place: tuple[str, str] = ("", "")
    _waiting: list[tuple[sa.Table, dict[str, Any]]] = field(default_factory=list[tuple[sa.Table, dict[str, Any]]])
    _asked: int = 0

    @asynccontextmanager
    async def asking(self, asset_key: str, week: str) -> AsyncGenerator[Engine]:
        """The client of one step."""
        self._place = asset_key, week
        yield cast(Engine, self)  # of an engine, steps use what this has
        self._write()

    def identity(self, role: Role) -> ModelIdentity:
        """The same for every role."""
        return MODEL

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer, after others had their turn."""
        await asyncio.sleep(0)
        key = request_key(MODEL, as_sent(request, MODEL))
        completion = Completion(_said(request, key), "stop", Outcome.USABLE, Usage(200, 0, 100))
        made = Answer(completion, made_up_id(key, 0), key, reused=False)
        if self.ledger is not None:
            self._waiting += self._rows(request, made, transition_id, sample_id)
            if len(self._waiting) >= 5 * _QUERIES_AT_ONCE:
                self._write()
        return made

    def _rows(
        self, request: Request, made: Answer, transition_id: str | None, sample_id: str | None
    ) -> list[tuple[sa.Table, dict[str, Any]]]:
        asset_key, week = self._place
        self._asked += 1
        asked_at = _ASKED_AT + self._asked * 1_000
        intent = request.intent
        place = {
            "role": request.role.value,
            "purpose": intent.purpose.value,
            "operation": intent.operation.value if intent.operation else None,
            "provider": MODEL.provider,
            "model": MODEL.model,
            "run_id": _RUN,
            "asset_key": asset_key,
            "partition_key": week,
            "transition_id": transition_id,
            "sample_id": sample_id,
        }
        ids = {"request_key": made.request_key, "request_id": made.request_id}
        sampling, said = request.sampling, made.completion
        question = {
            "request_key": made.request_key,
            "provider": MODEL.provider,
            "model": MODEL.model,
            "base_url": MODEL.base_url,
            "rules_version": "",
            "prompt_version": request.prompt_version,
            "messages": json.dumps([{"role": each.role, "content": each.content} for each in request.messages]),
            "temperature": float(sampling.temperature),
            "top_p": float(sampling.top_p),
            "max_tokens": sampling.max_tokens,
            "replica": request.replica,
        }
        attempt = {**ids, "attempt": 1, **place, "process": "machine:1", "started_at": asked_at}
        result = {
            "request_id": made.request_id,
            "status": "ok",
            "outcome": "usable",
            **_TOKENS,
            "cost_nano_usd": 70_000,
            "price_version": "prices-1",
            "latency_ms": 800.0,
            "finished_at": asked_at,
        }
        answered = {**ids, "text": said.text, "finish_reason": "stop", "outcome": "usable", **_TOKENS}
        used = {
            "use_id": use_id(_RUN, asset_key, week, transition_id, sample_id, intent.purpose.value, made.request_key),
            "answered": True,
            **ids,
            "reused": False,
            "outcome": "usable",
            **place,
            "asked_at": asked_at,
        }
        return [
            (schema.questions, question),
            (schema.attempts, attempt),
            (schema.results, result),
            (schema.answers, {**answered, "created_at": asked_at}),
            (schema.uses, used),
        ]

    def _write(self) -> None:
        if self.ledger is None:
            return
        with self.ledger:
            for table in schema.HISTORY:
                insert(self.ledger, table, [row for named, row in self._waiting if named is table])
        self._waiting = []


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
