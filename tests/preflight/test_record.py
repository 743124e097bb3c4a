"""After a preflight an estimate is narrow, and what a run then takes lies within it.

For five simulated models here, for twenty (`SOAK_MODELS=20`) in `make soak`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from resources.language_models.offline.model import rewrite
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Completion, ModelIdentity, Outcome, Purpose, Request, Role, Usage
from teams_dagster.core.rng import uniform
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.baselines import UNIFORM_WITH_NONE, baselines
from teams_dagster.policy.query_forecast import UNTRAINED, rewriting
from teams_dagster.preflight.plan import FULL, planned
from teams_dagster.preflight.record import episode_stats
from teams_dagster.preflight.trying import try_role
from teams_dagster.pricing.forecast import Estimate, estimate
from teams_dagster.pricing.prices import load_prices
from tests.support.offline_world import shipped_seeds

EPISODES = 24
MODELS = int(os.environ.get("SOAK_MODELS", "5"))


@dataclass(frozen=True)
class SimulatedModel:
    """The embedded rules, with tokens, accepted as often and at such a length as its number says."""

    number: int

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity("openai", f"simulated-{self.number}", "http://127.0.0.1:1/v1")

    async def complete(self, request: Request) -> Completion:
        text = self._text(request)
        prompt = sum(len(message.content) for message in request.messages) // 4
        thought = int(self._draw("verbosity") * 200 * self._draw("length", *(m.content for m in request.messages)))
        return Completion(text, "stop", Outcome.USABLE, Usage(prompt, 0, len(text) // 4 + 1 + thought))

    async def close(self) -> None:
        """Nothing to release."""

    def _text(self, request: Request) -> str:
        intent = request.intent
        if intent.purpose is Purpose.REWRITE and intent.operation is not None:
            readable = self._draw("read", intent.before.text, intent.operation.value) > self._draw("faults") / 4
            return rewrite(intent.operation, intent.before, request.replica) if readable else " "
        words = [message.content for message in request.messages]
        return "Not Equal" if self._draw("verdict", *words) < 0.3 + 0.6 * self._draw("acceptance") else "Equal"

    def _draw(self, *key: str) -> float:
        return uniform(self.number, *key)


def simulated(number: int, folder: Path) -> tuple[Estimate, Estimate, int]:
    """What was estimated before the preflight and after it, and what the episodes then took in tokens."""
    seeds = dict(sorted(shipped_seeds().items())[number : number + EPISODES])
    model = SimulatedModel(number)
    with Ledger(sqlite_url(folder / f"ledger-{number}.sqlite")) as ledger:
        return asyncio.run(_simulated(model, ledger, seeds))


async def _simulated(
    model: SimulatedModel, ledger: Ledger, seeds: dict[str, Instruction]
) -> tuple[Estimate, Estimate, int]:
    prices, texts = load_prices(), list(seeds.values())
    roles = (Role.INSTRUCTOR, Role.REVIEWER)
    identities: dict[Role, ModelIdentity] = dict.fromkeys(roles, model.identity)

    def estimated(seen: Sequence) -> Estimate:
        return estimate(ledger, rewriting(Role.INSTRUCTOR, EPISODES, texts, seen, UNTRAINED), identities, prices)

    before = estimated([])
    engine = Engine(dict.fromkeys(roles, model), ledger, CallContext("run-1", "preflight"), prices)
    records = [
        await try_role(engine, planned(role, model.identity, shipped_seeds().values(), FULL), most=8, priced=True)
        for role in roles
    ]
    tried = episode_stats(records[0])
    after = estimated([] if tried is None else [tried])
    spent = total_cost(ledger)
    plans = [
        EpisodePlan(EpisodeKey(0, EpisodePurpose.TRAIN, UNIFORM_WITH_NONE, "baseline", name), seed)
        for name, seed in seeds.items()
    ]
    world = Environment(engine, Pool([]), RewardConfig(), Role.INSTRUCTOR)
    await run_episodes(world, baselines()[UNIFORM_WITH_NONE], plans)
    await engine.close()
    total = total_cost(ledger)
    return (
        before,
        after,
        sum(getattr(total, name) - getattr(spent, name) for name in ("prompt_tokens", "completion_tokens")),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Estimate, Estimate, int]]:
    folder = tmp_path_factory.mktemp("runs")
    return [simulated(number, folder) for number in range(MODELS)]


@pytest.mark.slow
def test_after_a_preflight_the_most_is_at_most_three_times_the_least(runs: list[tuple[Estimate, Estimate, int]]):
    assert max(after.tokens.most / after.tokens.least for _, after, _ in runs) <= 3
    assert min(before.tokens.most / before.tokens.least for before, _, _ in runs) > 3


@pytest.mark.slow
def test_what_a_run_takes_lies_inside_in_nine_of_ten(runs: list[tuple[Estimate, Estimate, int]]):
    inside = sum(after.tokens.least <= took <= after.tokens.most for _, after, took in runs)
    assert inside >= 0.9 * MODELS
