"""The batch that every side learns from: random states, alike within an episode, and a reward that the choice earns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 6
"""Of an episode."""

CHOICES = 7

FEATURES = 509

HIDDEN = (64,)

GAMMA, DECAY = 0.99, 0.95


@dataclass(frozen=True)
class Rollouts:
    """Full episodes: every step is valid, none is truncated."""

    features: np.ndarray
    """(episodes, steps, features), float64."""
    actions: np.ndarray
    """(episodes, steps), int64."""
    rewards: np.ndarray
    """(episodes, steps), float64."""


def rollouts(transitions: int) -> Rollouts:
    """About `transitions` of them in whole episodes; the same ones each time."""
    draw = np.random.default_rng(transitions)
    episodes = round(transitions / STEPS)
    features = draw.normal(0.0, 0.2, size=(episodes, STEPS, FEATURES))
    features += draw.normal(0.0, 0.2, size=(episodes, 1, FEATURES)) + draw.uniform(0.0, 1.0, size=FEATURES)
    actions = draw.integers(CHOICES, size=(episodes, STEPS))
    pays = (features - features.mean(axis=(0, 1)))[..., :CHOICES].argmax(axis=-1) == actions
    return Rollouts(features, actions, pays + draw.normal(0.0, 0.1, size=actions.shape))
