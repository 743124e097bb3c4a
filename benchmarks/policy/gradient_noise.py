"""How noisy a policy gradient is, from one gradient an episode.

With the episodes' gradients g of covariance C and mean m: the noise is tr C, the signal |m|^2 without the part of it
that is noise, and their ratio the number of episodes in a batch whose mean gradient has as much signal as noise
(McCandlish et al. 2018, arXiv:1812.06162, the simple noise scale). It has no unit, so rewards of other sizes can be
compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.core.rng import generator
from teams_dagster.environment.state import HORIZON, Episode
from teams_dagster.policy.encoder import Encoder
from teams_dagster.policy.network import PolicyNetwork

HALVES = 2_000
"""Halves of the seeds that an interval rests on."""

_INDEX: dict[Rewriting, int] = {operation: index for index, operation in enumerate(Operation)}


@dataclass(frozen=True)
class Noise:
    """Of a set of episodes."""

    variance: float
    """tr C: the variance of one episode's gradient."""
    signal: float
    """|m|^2, without bias; not above 0 where the episodes are too few to tell the gradient from nothing."""

    @property
    def scale(self) -> float:
        """Episodes of which the mean gradient is half noise; infinite where no signal is seen."""
        return self.variance / self.signal if self.signal > 0 else float("inf")


def gram_of(episodes: Sequence[Episode], network: PolicyNetwork, encode: Encoder, gamma: float) -> np.ndarray:
    """Inner products of the episodes' gradients of the return's score-function estimate, shape (episodes, episodes).

    The advantage is the discounted reward to come less its mean over the episodes at that step.
    """
    rewards = np.zeros((len(episodes), HORIZON))
    for row, episode in enumerate(episodes):
        rewards[row, : len(episode.transitions)] = [step.reward for step in episode.transitions]
    to_come = np.zeros_like(rewards)
    for step in reversed(range(HORIZON)):
        to_come[:, step] = rewards[:, step] + (gamma * to_come[:, step + 1] if step + 1 < HORIZON else 0.0)
    advantages = to_come - to_come.mean(axis=0)
    rows = [_gradient(one, advantages[row], network, encode) for row, one in enumerate(episodes)]
    gradients = torch.stack(rows)
    return (gradients @ gradients.T).numpy().astype(np.float64)


def _gradient(episode: Episode, advantages: np.ndarray, network: PolicyNetwork, encode: Encoder) -> torch.Tensor:
    count = len(episode.transitions)
    features = torch.from_numpy(np.stack([encode(state) for state in episode.states[:count]]))
    actions = torch.tensor([_INDEX[step.operation] for step in episode.transitions])
    chosen = network(features)[torch.arange(count), actions]
    weighted = (chosen * torch.from_numpy(advantages[:count].copy())).sum()
    parts = torch.autograd.grad(weighted, list(network.parameters()))
    return torch.cat([part.reshape(-1) for part in parts]).float()


def noise(gram: np.ndarray) -> Noise:
    """Noise and signal of the episodes whose inner products are given."""
    count = len(gram)
    mean = gram.sum() / count**2
    variance = (np.trace(gram) / count - mean) * count / (count - 1)
    return Noise(float(variance), float(mean - variance / count))


def halves(seed_ids: Sequence[str], root_seed: int) -> list[np.ndarray]:
    """Indices of the episodes from half of the seeds, many times: the spread over them is that of the whole."""
    stream, seeds = generator(root_seed, "gradient noise"), sorted(set(seed_ids))
    place = np.array([seeds.index(seed) for seed in seed_ids])
    return [np.flatnonzero(np.isin(place, stream.permutation(len(seeds))[: len(seeds) // 2])) for _ in range(HALVES)]


def interval(whole: float, parts: np.ndarray) -> tuple[float, float]:
    """95% for a ratio, from its values over halves of the seeds: symmetric in its logarithm."""
    spread = float(np.std(np.log(parts[np.isfinite(parts) & (parts > 0)])))
    return whole * float(np.exp(-1.96 * spread)), whole * float(np.exp(1.96 * spread))
