"""Hard verdicts, verdicts in both orders, probabilities as the reward, and both: queries, and noise of the gradient.

    python -m benchmarks.policy.verdicts models/minilm

The embedded rules rewrite, a model reviews, an untrained policy chooses: the same seeds and draws for each. Prints a
table in Markdown, and what the order of the two texts did to the verdicts.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.policy.gradient_noise import Noise, gram_of, halves, interval, noise
from benchmarks.policy.remembering import Remembering
from benchmarks.policy.world import seeds
from resources.language_models.embedding.reviewer import EmbeddingReviewer
from resources.language_models.local_transformers import LocalTransformersModel
from teams_dagster.core.protocol import LanguageModel, Role
from teams_dagster.core.replies import Way
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.encoder import PolicyActor, encoder
from teams_dagster.policy.network import PolicyNetwork

PRESETS = (RewardPreset.GRADED, RewardPreset.PAPER)
"""Rewards that are studied. `dollars` needs prices, and the models here cost nothing."""

VARIANTS = {
    "hard": {},
    "both orders": {"both_orders": True},
    "soft": {"soft": True},
    "both orders, soft": {"both_orders": True, "soft": True},
}


REVIEWERS: dict[str, Callable[[str], LanguageModel]] = {
    "embedding": EmbeddingReviewer,
    "transformers": lambda model: LocalTransformersModel(model, structured=Way.LOGPROBS),
}
"""By provider, what opens a reviewer that gives probabilities."""


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


async def play(client: Remembering, preset: RewardPreset, count: int, each: int) -> dict[str, Played]:
    """Every variant on `count` seeds, `each` episodes from each."""
    config, there = TrainingConfig(), seeds(count)
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
        episodes = await run_episodes(environment, actor, [EpisodePlan(key, there[key.seed_id]) for key in keys])
        found[name] = Played(episodes, gram_of(episodes, network, encode, config.gamma))
    return found


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


def position_bias(episodes: Sequence[Episode]) -> str:
    """How often and how far the order of the two texts decided, each pair of texts once."""
    pairs = {step.review_request_id: step for episode in episodes for step in episode.transitions if step.verdict}
    read = [step for step in pairs.values() if step.orders_agree is not None]
    other = sum(not step.orders_agree for step in read)
    differences = np.array([step.order_difference for step in read if step.order_difference is not None])
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    return (
        f"{len(read)} edits in both orders ({len(pairs) - len(read)} more without a verdict in one of them):"
        f" {other} ({other / len(read):.1%}) with another verdict; P(Not Equal) in the"
        f" order of the edit less the other {differences.mean():+.4f} (95%: +-{1.96 * error:.4f}), at most"
        f" {np.abs(differences).max():.3f}"
    )


async def study(reviewer: LanguageModel, presets: Sequence[RewardPreset], count: int, each: int) -> None:
    """Play and print."""
    torch.set_num_threads(1)
    client = Remembering(reviewer)
    for preset in presets:
        found = await play(client, preset, count, each)
        print(f"\nPreset {preset.value}, {count} seeds, {each} episodes from each.\n")
        print("\n".join(table(found)))
        print(f"\n{position_bias(found['both orders'].episodes)}", flush=True)
    await reviewer.close()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or hub id of the model that reviews")
    parser.add_argument("--provider", choices=tuple(REVIEWERS), default="embedding", help="what kind of model it is")
    parser.add_argument(
        "--presets", type=RewardPreset, choices=PRESETS, nargs="+", default=PRESETS, help="rewards to study"
    )
    parser.add_argument("--seeds", type=int, default=240, help="seeds that episodes start from")
    parser.add_argument("--episodes", type=int, default=2, help="episodes from each")
    return parser.parse_args(given)


def main() -> None:
    """What the command line asks for."""
    asked = arguments()
    reviewer = REVIEWERS[asked.provider](asked.model)
    asyncio.run(study(reviewer, asked.presets, asked.seeds, asked.episodes))


if __name__ == "__main__":
    main()
