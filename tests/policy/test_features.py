"""What the policy sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import PastOperation, State
from teams_dagster.policy.encoder import FeatureConfig, PolicyActor, encoder
from teams_dagster.policy.features import HISTORY_SIZE, PROGRESS_SIZE, cues, history, words
from teams_dagster.policy.network import PolicyNetwork

ALLOWED = np.ones(len(Operation), dtype=bool)

features = encoder(FeatureConfig())
FEATURES = features.size


def state(text, material="", past=()):
    return State("s", (Instruction(text, material),), tuple(past))


@given(st.text(), st.text())
def test_any_text_gives_finite_features_of_the_frozen_size(text, material):
    vector = features(state(text, material))
    assert vector.shape == (FEATURES,)
    assert vector.dtype == np.float64
    assert np.isfinite(vector).all()


@pytest.mark.parametrize(
    "other",
    [
        state("Sort the numbers of the list by size"),
        state("Explain why bread, rises"),
        state("Explain why bread rises", "a recipe"),
        state("Explain why bread rises 3 times"),
        state("- Explain why bread rises"),
        state("Explain why bread rises", past=[PastOperation(Operation.BREADTH, True)]),
        state("Explain why bread rises", past=[PastOperation(Operation.BREADTH, False)]),
        state("Explain why bread rises", past=[PastOperation(Operation.NONE, False)]),
    ],
)
def test_a_state_that_differs_in_text_input_history_or_step_looks_different(other):
    assert not np.array_equal(features(other), features(state("Explain why bread rises")))


def test_text_comes_first_then_history_then_progress():
    first = features(state("a b c"))
    later = features(state("a b c", past=[PastOperation(Operation.DEEPENING, True)]))
    past = slice(-PROGRESS_SIZE - HISTORY_SIZE, -PROGRESS_SIZE)
    assert np.array_equal(first[: past.start], later[: past.start])
    assert not first[past].any()
    assert later[past].any()
    assert not np.array_equal(first[-PROGRESS_SIZE:], later[-PROGRESS_SIZE:])


def test_history_tells_the_order_of_the_last_operation():
    past = [PastOperation(Operation.BREADTH, True), PastOperation(Operation.DEEPENING, False)]
    assert not np.array_equal(history(state("a", past=past)), history(state("a", past=past[::-1])))


def test_growth_of_the_chain_is_seen():
    seed, grown = Instruction("Name a river"), Instruction("Name a river of Asia that is longer than the Ganges")
    assert not np.array_equal(features(State("s", (grown,))), features(State("s", (seed, grown))))


def test_a_very_long_text_costs_no_more_than_its_beginning():
    for part in (words, cues):
        assert np.array_equal(part(Instruction("word " * 20_000)), part(Instruction("word " * 30_000)))


def test_text_features_are_kept_and_cannot_be_changed():
    vector = words(Instruction("Name a river"))
    assert words(Instruction("Name a river")) is vector
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


def test_the_actor_is_the_network_one_state_at_a_time():
    import torch

    for allowed in (ALLOWED, np.array([op is not Operation.NONE for op in Operation])):
        network = PolicyNetwork(FEATURES, (32, 16), allowed, ("k",))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, size=parameter.shape)))
        actor = PolicyActor(network.weights(), allowed, features)
        for where in (state("Name a river"), state("Sort 3 2 1", "x", [PastOperation(Operation.BREADTH, True)])):
            with torch.no_grad():
                expected = network(torch.from_numpy(features(where))).exp().numpy()
            np.testing.assert_allclose(actor.probabilities(where), expected, rtol=1e-12, atol=1e-15)
            assert actor.probabilities(where).sum() == pytest.approx(1.0)
            assert (actor.probabilities(where)[~allowed] == 0).all()
