"""Hard verdicts, verdicts in both orders, probabilities as the reward, and both: queries, and noise of the gradient.

    python -m benchmarks.policy.verdicts models/minilm
    python -m benchmarks.policy.verdicts models/minilm --lean 0.2
    python -m benchmarks.policy.verdicts models/smollm2.gguf --provider llama.cpp --seeds 40

The embedded rules rewrite, a model reviews, an untrained policy chooses: the same seeds and draws for each. Prints
tables in Markdown: the four ways of taking a verdict, and what the order of the two texts did to the verdicts. `--lean`
makes the reviewer like one place by a known amount: the control. Answers stay on a ledger under benchmarks/.runs, which
git ignores: a measurement that is interrupted goes on from it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.policy.gradient_noise import Noise, gram_of, halves, interval, noise
from benchmarks.policy.leaning import Leaning
from benchmarks.policy.position_bias import HEADER, position_bias, row
from benchmarks.policy.process import ROOT
from benchmarks.policy.world import seeds
from resources.language_models.embedding.reviewer import EmbeddingReviewer
from resources.language_models.llama_server import LlamaServer
from resources.language_models.local_transformers import LocalTransformersModel
from resources.language_models.offline.model import OfflineModel
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LanguageModel, LLMClient, Role
from teams_dagster.core.replies import Way
from teams_dagster.environment.episodes import EpisodePlan, open_episodes_for, run_episodes
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.encoder import PolicyActor, encoder
from teams_dagster.policy.network import PolicyNetwork
from teams_dagster.pricing.prices import load_prices

LEDGER = ROOT / "benchmarks" / ".runs" / "verdicts.sqlite"

PORT = 8171
"""Of llama.cpp's server: the address is part of a query's key, so it stays."""

SLOTS = 4
"""Reviews that are answered together, by a server and in a thread alike."""

PATIENCE_S = 900.0
"""That one review may take: a machine that others share is slow, and a review that timed out is lost work."""

PRESETS = (RewardPreset.GRADED, RewardPreset.PAPER)
"""Rewards that are studied. `dollars` needs prices, and the models here cost nothing."""

VARIANTS = {
    "hard": {},
    "both orders": {"both_orders": True},
    "soft": {"soft": True},
    "both orders, soft": {"both_orders": True, "soft": True},
}


PROVIDERS = ("embedding", "transformers", "llama.cpp")


@contextmanager
def opened(provider: str, model: str, structured: Way) -> Iterator[LanguageModel]:
    """The reviewer, which gives probabilities; `structured` is how llama.cpp holds it to its verdicts."""
    if provider == "embedding":
        yield EmbeddingReviewer(model)
    elif provider == "transformers":
        yield LocalTransformersModel(model, structured=Way.LOGPROBS)
    else:
        with LlamaServer(Path(model), port=PORT, slots=SLOTS) as server:
            yield OpenAICompatibleModel(
                Path(model).stem, base_url=server.url, timeout_s=PATIENCE_S, structured=structured, logprobs=True
            )


@asynccontextmanager
async def answered(reviewer: LanguageModel, path: Path) -> AsyncIterator[Engine]:
    """A client over the embedded rules and `reviewer`, whose answers stay on the ledger at `path`."""
    roles = {Role.INSTRUCTOR: OfflineModel(), Role.REVIEWER: reviewer}
    with Ledger(sqlite_url(path)) as ledger:
        engine = Engine(roles, ledger, CallContext("verdicts", "verdicts"), load_prices(), max_in_flight=SLOTS)
        try:
            yield engine
        finally:
            await engine.close()
            await reviewer.close()


@dataclass(frozen=True)
class Played:
    """What a variant's episodes came to."""

    episodes: Sequence[Episode]
    gram: np.ndarray

    @property
    def queries(self) -> float:
        """Of one episode."""
        return sum(episode.queries for episode in self.episodes) / len(self.episodes)

    @property
    def accepted(self) -> float:
        """Edits of one episode."""
        return sum(episode.accepted for episode in self.episodes) / len(self.episodes)

    @property
    def noise(self) -> Noise:
        """Of the gradient."""
        return noise(self.gram)

    def cost(self, part: np.ndarray | None = None) -> float:
        """Queries of a batch whose mean gradient is half noise, of all episodes or those of `part`."""
        found = self.noise if part is None else noise(self.gram[np.ix_(part, part)])
        chosen = self.episodes if part is None else [self.episodes[at] for at in part]
        return found.scale * sum(episode.queries for episode in chosen) / len(chosen)


async def play(
    client: LLMClient,
    preset: RewardPreset,
    there: Mapping[str, Instruction],
    each: int,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Played]:
    """Every variant on the seeds `there`, `each` episodes from each; `say` hears how far it is."""
    config = TrainingConfig()
    encode = encoder(config.features)
    network = PolicyNetwork(encode.size, config.hidden, config.allowed, (config.root_seed, "weights", "policy"))
    actor, pool = PolicyActor(network.weights(), config.allowed, encode), Pool(there.values())
    found: dict[str, Played] = {}
    for name, options in VARIANTS.items():
        environment = Environment(client, pool, RewardConfig(preset=preset, **options), Role.INSTRUCTOR)
        keys = [
            EpisodeKey(0, EpisodePurpose.TRAIN, "untrained", "", seed_id, episode=number, iteration=0)
            for seed_id in there
            for number in range(each)
        ]
        plans, done = [EpisodePlan(key, there[key.seed_id]) for key in keys], _Counted(len(keys), name, say)
        under_way = open_episodes_for(SLOTS)
        episodes = await run_episodes(environment, actor, plans, open_episodes=under_way, on_episode=done)
        found[name] = Played(episodes, gram_of(episodes, network, encode, config.gamma))
    return found


class _Counted:
    """Tells of each tenth part of the episodes."""

    def __init__(self, whole: int, name: str, say: Callable[[str], None]) -> None:
        self._done, self._whole, self._name, self._say = 0, whole, name, say
        self._began = time.monotonic()

    def __call__(self, _: Episode) -> None:
        self._done += 1
        if self._done == self._whole or self._done % max(1, self._whole // 10) == 0:
            took = time.monotonic() - self._began
            self._say(f"{self._name}: {self._done} of {self._whole} episodes in {took:.0f} s")


def table(found: dict[str, Played]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield (
        "| Verdict | Queries an episode | Accepted an episode | Accepted per query | Variance of the reward"
        " | Variance of the gradient | Episodes until half is signal (95%) | The same in queries | Over hard (95%) |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    hard = found["hard"]
    parts = halves([episode.key.seed_id for episode in hard.episodes], 0)
    of_hard = np.array([hard.cost(part) for part in parts])
    for name, played in found.items():
        costs = np.array([played.cost(part) for part in parts])
        scales = np.array([noise(played.gram[np.ix_(part, part)]).scale for part in parts])
        low, high = interval(played.noise.scale, scales)
        ratio = played.cost() / hard.cost()
        bounds = interval(ratio, costs / of_hard)
        over = "" if name == "hard" else f"{ratio:.2f} ({bounds[0]:.2f} to {bounds[1]:.2f})"
        rewards = [step.reward for episode in played.episodes for step in episode.transitions if step.queries]
        yield (
            f"| {name} | {played.queries:.2f} | {played.accepted:.2f} | {played.accepted / played.queries:.3f}"
            f" | {np.var(rewards):.4f} | {played.noise.variance:.4f}"
            f" | {played.noise.scale:.0f} ({low:.0f} to {high:.0f}) | {played.cost():.0f} | {over} |"
        )


async def study(reviewer: LanguageModel, presets: Sequence[RewardPreset], count: int, each: int, ledger: Path) -> None:
    """Play and print."""
    torch.set_num_threads(1)
    async with answered(reviewer, ledger) as client:
        for preset in presets:
            found = await play(client, preset, seeds(count), each, _say)
            print(f"\nPreset {preset.value}, {count} seeds, {each} episodes from each.\n")
            print("\n".join(table(found)))
            bias = position_bias(found["both orders"].episodes)
            print(f"\n{HEADER}\n{row(str(reviewer.identity), bias)}", flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or hub id of the model that reviews; for llama.cpp a GGUF file")
    parser.add_argument("--provider", choices=PROVIDERS, default="embedding", help="what kind of model it is")
    parser.add_argument(
        "--structured",
        type=Way,
        choices=(Way.JSON_SCHEMA, Way.GRAMMAR),
        default=Way.JSON_SCHEMA,
        help="how llama.cpp holds it to its verdicts",
    )
    parser.add_argument(
        "--lean", type=float, default=0.0, help="how much likelier Not Equal is made where the longer text stands first"
    )
    parser.add_argument(
        "--presets",
        type=RewardPreset,
        nargs="+",
        choices=PRESETS,
        default=PRESETS,
        help="rewards to study",
    )
    parser.add_argument("--seeds", type=int, default=240, help="seeds that episodes start from")
    parser.add_argument("--episodes", type=int, default=2, help="episodes from each")
    parser.add_argument("--ledger", type=Path, default=LEDGER, help="where answers stay")
    return parser.parse_args(given)


def main() -> None:
    """What the command line asks for."""
    asked = arguments()
    asked.ledger.parent.mkdir(parents=True, exist_ok=True)
    with opened(asked.provider, asked.model, asked.structured) as reviewer:
        reviewer = Leaning(reviewer, asked.lean) if asked.lean else reviewer
        asyncio.run(study(reviewer, asked.presets, asked.seeds, asked.episodes, asked.ledger))


if __name__ == "__main__":
    main()
