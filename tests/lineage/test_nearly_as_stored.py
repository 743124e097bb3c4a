"""Replaying a policy in float32: what agrees within the tolerance is taken as it was stored, and nothing else is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.decisions import Decision, choose
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import start
from teams_dagster.lineage.replay import PROBABILITY_TOLERANCE, NearlyAsStored
from tests.support.toy_world import ToyWorld, environment

KEY = EpisodeKey(0, EpisodePurpose.GENERATE, "trained", "v", "s", partition_key="w")
DRAW = KEY.draw(0, "action")
ORDER = tuple(Operation)


@dataclass(frozen=True)
class Says:
    """A policy with these probabilities."""

    chances: np.ndarray

    def probabilities(self, state: object) -> np.ndarray:
        return self.chances


def with_border_at(point: float) -> np.ndarray:
    """Probability `point` for the first operation, and the rest for the second."""
    return np.array([point, 1 - point, *[0.0] * (len(ORDER) - 2)])


def replayed(chances: np.ndarray, operation: Operation, probability: float) -> Decision:
    """What is chosen where `operation` was stored with `probability`, and the policy now says `chances`."""
    stored = {"transition_id": "t", "operation": operation.value, "probability": probability}
    decider = NearlyAsStored(Says(chances), [stored])
    return asyncio.run(decider.decide(environment(ToyWorld()), KEY, start("s", Instruction("Name a river")), "t"))


@pytest.mark.parametrize("off", [0.0, 0.5 * PROBABILITY_TOLERANCE, -0.5 * PROBABILITY_TOLERANCE])
def test_a_probability_within_the_tolerance_is_the_stored_one(off: float):
    chances = with_border_at(DRAW / 2)
    assert replayed(chances, ORDER[1], float(chances[1]) + off).probability == float(chances[1]) + off


def test_one_further_off_is_computed_anew():
    chances = with_border_at(DRAW / 2)
    off = float(chances[1]) + 2 * PROBABILITY_TOLERANCE
    assert replayed(chances, ORDER[1], off).probability == float(chances[1])


def test_an_operation_whose_border_moved_across_the_draw_is_the_stored_one():
    chances = with_border_at(DRAW + 0.5 * PROBABILITY_TOLERANCE)
    assert ORDER[choose(chances, DRAW)] is ORDER[0]
    assert replayed(chances, ORDER[1], float(chances[1])).operation is ORDER[1]


def test_an_operation_that_the_draw_is_far_from_is_not_taken():
    chances = with_border_at(DRAW + 2 * PROBABILITY_TOLERANCE)
    assert replayed(chances, ORDER[1], float(chances[1])).operation is ORDER[0]


def test_a_transition_that_was_not_stored_is_drawn():
    decider = NearlyAsStored(Says(with_border_at(DRAW / 2)), [])
    state = start("s", Instruction("Name a river"))
    decision = asyncio.run(decider.decide(environment(ToyWorld()), KEY, state, "t"))
    assert decision.operation is ORDER[1]
