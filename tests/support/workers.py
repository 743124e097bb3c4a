"""Programs that tests run in processes of their own, to be killed at any moment.

A fork server that has imported everything starts each in milliseconds. Each writes down what it saw as it goes, one
system call a line: what stands in its file was seen before it died.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Role, Sampling
from teams_dagster.ledger.budgets import Budget, Budgets
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from teams_dagster.store.read_model import refresh
from tests.support.questions import question

UNBOUNDED = Budget()

SAMPLING = Sampling(max_tokens=16)

IN_FLIGHT = 8
"""Questions that a worker has under way at most."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["pytest", "aiohttp", "httpx2", "openai", "psycopg", "tests.support.workers"])


@dataclass(frozen=True)
class Work:
    """What a worker asks, of whom, on which ledger."""

    base_url: str
    ledger_url: str
    run_id: str
    texts: tuple[str, ...]
    budget: Budget = UNBOUNDED
    prices: Path | None = None


def ask_everything(work: Work, seen: Path) -> None:
    """Ask about each text; write `<request key> <answer>` when it is seen, `end <how>` when all is done."""
    asyncio.run(_ask(work, seen))


async def _ask(work: Work, seen: Path) -> None:
    model = OpenAICompatibleModel("m", base_url=work.base_url)
    with _lines(seen) as write, Ledger(work.ledger_url) as ledger:
        engine = Engine(
            {Role.EXPERT: model},
            ledger,
            CallContext(work.run_id, "asset"),
            load_prices(work.prices),
            max_in_flight=IN_FLIGHT,
            first_wait_s=0.01,
            budgets=Budgets(project=work.budget),
        )

        async def one(text: str) -> None:
            answer = await engine.ask(question(text, sampling=SAMPLING), transition_id=text)
            write(f"{answer.request_key} {answer.completion.text}")

        ends = await asyncio.gather(*map(one, work.texts), return_exceptions=True)
        await engine.close()
        await model.close()
        failures = sorted({type(end).__name__ for end in ends if end is not None})
        write(f"end {','.join(failures) or 'answered'}")


def refresh_forever(ledger_url: str, model: Path, seen: Path) -> None:
    """Refresh the read model again and again; write what each refresh said."""
    with _lines(seen) as write:
        while True:
            write(refresh(ledger_url, [], model, wait_s=10.0).reason)
            time.sleep(0.05)


def hold_open(model: Path, seen: Path) -> None:
    """Hold a DuckDB file open for writing, as somebody's SQL shell does, and write into it."""
    with _lines(seen) as write:
        while True:
            try:
                connection = duckdb.connect(model)
                break
            except duckdb.IOException:
                time.sleep(0.001)  # a refresh has it
        connection.execute("create table if not exists notes (note text)")
        write("held")
        while True:
            connection.execute("insert into notes values ('a note')")
            time.sleep(0.02)


@contextmanager
def _lines(path: Path) -> Iterator[Callable[[str], None]]:
    """A file that takes lines, each in one system call."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(line: str) -> None:
        data = f"{line}\n".encode()
        assert os.write(file, data) == len(data)

    try:
        yield write
    finally:
        os.close(file)


@dataclass(frozen=True)
class Worker:
    """A program that runs, and the file it writes."""

    process: BaseProcess
    seen: Path

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    @property
    def lines(self) -> list[str]:
        """What it wrote so far, whole lines only."""
        return self.seen.read_text(encoding="utf-8").split("\n")[:-1] if self.seen.exists() else []


class Crew:
    """Starts workers; none outlives the `with` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: list[Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            self.kill(worker)

    def start(self, program: Callable[..., None], *arguments: Any) -> Worker:
        """Run `program(*arguments, seen)`."""
        seen = self._folder / f"{program.__name__}-{len(self.workers)}.txt"
        process = _processes.Process(target=program, args=(*arguments, seen), daemon=True)
        process.start()
        self.workers.append(Worker(process, seen))
        return self.workers[-1]

    def kill(self, worker: Worker) -> bool:
        """SIGKILL it; whether it was still running."""
        alive = worker.alive
        worker.process.kill()
        worker.process.join()
        return alive
