"""One training with real rollouts: the `openai` client, the engine and an SQLite ledger against a loopback server.

Run as a process of its own, `python -m benchmarks.policy.rollouts`; its figures are the last line of stdout, as JSON.
It trains as `trained_policy` does, so a batch's rollouts begin after the update before, and end with its last episode.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# Imports are not timed; these are what the connection imports with its first question.
import aiohttp  # noqa: F401
import httpcore2  # noqa: F401
import httpx2  # noqa: F401
import openai  # noqa: F401
import uvloop  # noqa: F401

from benchmarks.policy.process import ROOT, load
from benchmarks.policy.server import Served, serving
from benchmarks.policy.world import seeds
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Answer, LLMClient, ModelIdentity, Purpose, Request, Role
from teams_dagster.environment.state import Episode
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train
from teams_dagster.pricing.prices import load_prices


@dataclass(frozen=True)
class BatchFigures:
    """One batch of episodes and the update after it."""

    episodes: int
    transitions: int
    sent: int
    """Calls; fewer than questions where an answer was on the ledger already."""
    rollout_s: float
    rollout_cpu_s: float
    """Of this process."""
    steady_s: float
    """From the end of a tenth of the transitions to the end of nine tenths: neither beginning nor tail."""
    update_s: float = 0.0
    """The first in a process imports what torch's optimisers need."""


@dataclass(frozen=True)
class RolloutFigures:
    """One training."""

    latencies_s: Sequence[float]
    parallel: int
    batches: Sequence[BatchFigures]
    served: Served
    load: float
    """Of the machine when it ended."""


class Stopwatch:
    """The client of a training, which takes the times of transitions, batches and updates."""

    def __init__(self, client: LLMClient, tallies: Tallies) -> None:
        self.batches: list[BatchFigures] = []
        self._client, self._tallies = client, tallies
        self._sent = 0
        self._ends: list[float] = []
        self._rolled_out: BatchFigures | None = None
        self._began, self._began_cpu = time.perf_counter(), time.process_time()

    def identity(self, role: Role) -> ModelIdentity:
        """The client's."""
        return self._client.identity(role)

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The client's; a verdict ends a transition."""
        answer = await self._client.ask(request, transition_id=transition_id, sample_id=sample_id)
        if request.intent.purpose is Purpose.REVIEW:
            self._ends.append(time.perf_counter())
        return answer

    def rolled_out(self, _: int, episodes: Sequence[Episode]) -> None:
        """The last episode of a batch is done."""
        ends = sorted(self._ends)
        seconds, cpu_s = self._lap()
        self._rolled_out = BatchFigures(
            episodes=len(episodes),
            transitions=sum(len(episode.transitions) for episode in episodes),
            sent=self._tallies.sent - self._sent,
            rollout_s=seconds,
            rollout_cpu_s=cpu_s,
            steady_s=ends[9 * len(ends) // 10] - ends[len(ends) // 10],
        )
        self._sent, self._ends = self._tallies.sent, []

    def updated(self, _: str) -> None:
        """The policy is updated and saved."""
        if self._rolled_out is None:
            return  # training says something else
        seconds, _cpu_s = self._lap()
        self.batches.append(replace(self._rolled_out, update_s=seconds))
        self._rolled_out = None

    def _lap(self) -> tuple[float, float]:
        """Seconds and processor seconds since the last lap."""
        now, cpu = time.perf_counter(), time.process_time()
        lap = now - self._began, cpu - self._began_cpu
        self._began, self._began_cpu = now, cpu
        return lap


async def _train(base_url: str, folder: Path, parallel: int, episodes: int, batches: int) -> Sequence[BatchFigures]:
    model = OpenAICompatibleModel("toy", base_url=base_url, api_key="sk-benchmark")
    context = CallContext(run_id=uuid.uuid4().hex, asset_key="trained_policy")
    config = TrainingConfig(iterations=batches, episodes_per_iteration=episodes, allow_none=False)
    roles = {Role.INSTRUCTOR: model, Role.REVIEWER: model}
    with Ledger(sqlite_url(folder / "ledger.sqlite")) as ledger:
        engine = Engine(roles, ledger, context, load_prices(), max_in_flight=parallel)
        watch = Stopwatch(engine, engine.tallies)
        await train(
            watch,
            seeds(episodes * batches),
            config,
            folder / "policy.safetensors",
            sink=watch.rolled_out,
            progress=watch.updated,
        )
        await engine.close()
    await model.close()
    return watch.batches


def measure(latencies_s: Sequence[float], parallel: int, episodes: int, batches: int, folder: Path) -> RolloutFigures:
    """Train for `batches` updates with `episodes` each, on a new ledger in `folder`."""
    folder.mkdir(parents=True)
    with serving(ROOT, latencies_s) as server:
        done = loop.run(_train(server.base_url, folder, parallel, episodes, batches))
        return RolloutFigures(latencies_s, parallel, done, server.served(), load())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latencies", type=float, nargs="+", required=True, help="seconds a call may take")
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--episodes", type=int, required=True, help="of a batch")
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="of the ledger; must not exist")
    asked = parser.parse_args()
    figures = measure(asked.latencies, asked.parallel, asked.episodes, asked.batches, asked.folder)
    print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    main()
