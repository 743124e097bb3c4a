"""What an algorithm is, and which one a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from teams_dagster.policy.algorithms.base import BaseAlgorithmConfig
from teams_dagster.policy.algorithms.batch import Batch, RollIn
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.report import UpdateReport

__all__ = ["Algorithm", "UpdateReport", "algorithm_of"]


class Algorithm(Protocol):
    """Says who acts in each episode of an iteration, and learns from what came of it."""

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        """The plan of one episode of at most `horizon` steps. `draw(name)` is a uniform that belongs to the episode."""
        ...

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        """Move `learner` in place. Raises ValueError when a reward, value or loss is not finite."""
        ...


def algorithm_of(config: BaseAlgorithmConfig, root_seed: int) -> Algorithm:
    """The algorithm that `config` describes; its random draws are keyed by `root_seed`."""
    return config.build(root_seed)
