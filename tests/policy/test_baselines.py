"""Policies that do not learn."""

import numpy as np
import pytest

from teams_dagster.environment.state import PastOperation, State
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.operations import TEXT_OPERATIONS, Operation
from teams_dagster.policy.baselines import baseline_version, baselines, is_deterministic

STATES = [
    State("s", (Instruction("Name a river"),), (PastOperation(Operation.BREADTH, False),) * step) for step in range(6)
]


@pytest.mark.parametrize("name", baselines())
def test_every_baseline_is_a_distribution_that_never_rests(name):
    for state in STATES:
        probabilities = baselines()[name].probabilities(state)
        assert probabilities.sum() == pytest.approx(1.0)
        assert probabilities[list(Operation).index(Operation.NONE)] == 0


def test_uniform_gives_the_six_operations_the_same_chance():
    np.testing.assert_allclose(baselines()["uniform"].probabilities(STATES[0]), [1 / 6] * 6 + [0])


def test_round_robin_takes_each_operation_once_an_episode():
    taken = [int(baselines()["round_robin"].probabilities(state).argmax()) for state in STATES]
    assert [list(Operation)[index] for index in taken] == list(TEXT_OPERATIONS)


@pytest.mark.parametrize("operation", TEXT_OPERATIONS)
def test_a_fixed_baseline_bears_its_operations_name(operation):
    baseline = baselines()[operation.value]
    assert all(baseline.probabilities(state)[list(Operation).index(operation)] == 1 for state in STATES)
    assert is_deterministic(baseline)


def test_only_uniform_draws():
    assert [name for name, actor in baselines().items() if not is_deterministic(actor)] == ["uniform"]
    assert len({baseline_version(name) for name in baselines()}) == len(baselines())
