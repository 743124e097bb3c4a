"""Policies that do not learn, to compare a trained one with. Each is an actor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teams_dagster.environment.episodes import Actor
from teams_dagster.environment.state import State
from teams_dagster.instructions.operations import TEXT_OPERATIONS, Operation
from teams_dagster.streams import content_hash

UNIFORM = "uniform"
ROUND_ROBIN = "round_robin"

_ORDER = tuple(Operation)


class Uniform:
    """Every operation but `none` with the same probability: what Evol-Instruct does."""

    def probabilities(self, state: State) -> np.ndarray:
        """1/6 each, 0 for `none`, whatever the state."""
        chances = np.array([operation in TEXT_OPERATIONS for operation in _ORDER], dtype=np.float64)
        return chances / chances.sum()


class RoundRobin:
    """The operations in their order, one a step."""

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation whose turn it is."""
        return _certain(TEXT_OPERATIONS[state.step % len(TEXT_OPERATIONS)])


@dataclass(frozen=True)
class Fixed:
    """The same operation always."""

    operation: Operation

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation."""
        return _certain(self.operation)


def _certain(operation: Operation) -> np.ndarray:
    return np.array([candidate is operation for candidate in _ORDER], dtype=np.float64)


def baselines() -> dict[str, Actor]:
    """Every baseline by its name: `uniform`, `round_robin` and one per operation (named as the operation)."""
    fixed: dict[str, Actor] = {operation.value: Fixed(operation) for operation in TEXT_OPERATIONS}
    return {UNIFORM: Uniform(), ROUND_ROBIN: RoundRobin(), **fixed}


def is_deterministic(baseline: Actor) -> bool:
    """Whether all episodes of `baseline` from one seed are alike (the answers being the same)."""
    return not isinstance(baseline, Uniform)


def baseline_version(name: str) -> str:
    """The policy version that a baseline's transitions carry."""
    return content_hash("baseline", name, [operation.value for operation in _ORDER])
