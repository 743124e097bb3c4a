"""Where episodes of a batch that begin at the same seed reach the same text.

A policy that has settled finds the same texts from a seed again and again, and a generation keeps each of them once.
The reward of a transition cannot tell, since it depends on the transition alone. So a training with several episodes
of each seed in a batch looks for repeats at the update, in canonical order, and the advantage is estimated as if a
repeated edit had brought nothing. The transition's own reward stays as it is, and can be replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teams_dagster.environment.reward import RewardConfig, reward
from teams_dagster.environment.state import HORIZON, Episode, Transition


def repeated(episodes: Sequence[Episode]) -> np.ndarray:
    """Accepted edits to a text that an earlier one of `episodes` reached from the same seed: bool, (episodes, steps).

    `episodes` are in canonical order. A text that an episode reaches twice by itself is no repeat: its novelty is 0.
    """
    found = np.zeros((len(episodes), HORIZON), dtype=bool)
    reached: dict[str, set[str]] = {}
    for row, episode in enumerate(episodes):
        earlier = reached.setdefault(episode.key.seed_id, set())
        own: set[str] = set()
        for step, transition in enumerate(episode.transitions):
            if transition.accepted and transition.after is not None:
                found[row, step] = transition.after.instruction_id in earlier
                own.add(transition.after.instruction_id)
        earlier |= own
    return found


def repeated_gains(episodes: Sequence[Episode], config: RewardConfig) -> np.ndarray:
    """What each repeated edit earned over one that brings nothing: float64, (episodes, steps); 0 where none is."""
    gains = np.zeros((len(episodes), HORIZON))
    for row, step in np.argwhere(repeated(episodes)):
        transition = episodes[row].transitions[step]
        gains[row, step] = transition.reward - _without_gain(transition, config)
    return gains


def _without_gain(transition: Transition, config: RewardConfig) -> float:
    """The reward of an edit that was refused, at the same queries and tokens."""
    spent = config.edit_cost(transition.rewrite_usage, transition.review_usages)
    return reward(config, accepted=False, novelty=None, queries=transition.queries, nano_usd=spent)
