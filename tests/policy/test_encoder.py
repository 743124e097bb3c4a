"""From a state to what the policy reads, and the ablations."""

from dataclasses import replace

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import PastOperation, State
from teams_dagster.policy.encoder import FeatureConfig, encoder
from teams_dagster.policy.features import CUE_SIZE, GROWTH_SIZE, HISTORY_SIZE, LEXICAL_SIZE, PROGRESS_SIZE
from tests.support.toy_world import topical_seeds

SEEDS = tuple(topical_seeds(60).values())
NOISY = encoder(FeatureConfig(ablation="text_noise"), SEEDS)
ZEROED = encoder(FeatureConfig(ablation="text_zeroed"))
FORGETFUL = encoder(FeatureConfig(ablation="no_history"))
FULL = encoder(FeatureConfig())

TEXT = slice(0, LEXICAL_SIZE + CUE_SIZE + GROWTH_SIZE)
HISTORY = slice(TEXT.stop, TEXT.stop + HISTORY_SIZE)
PROGRESS = slice(HISTORY.stop, HISTORY.stop + PROGRESS_SIZE)


def state(text="Name a river", *past, chain=()):
    return State("s", (*(Instruction(t) for t in chain), Instruction(text)), tuple(past))


def test_every_ablation_reads_as_many_numbers():
    assert FULL.size == NOISY.size == ZEROED.size == FORGETFUL.size == PROGRESS.stop
    assert len({FULL.version, NOISY.version, ZEROED.version, FORGETFUL.version}) == 4


def test_noise_is_the_features_of_a_training_seed():
    shown = NOISY(state())[TEXT]
    assert any(np.array_equal(shown, FULL(state(seed.text))[TEXT]) for seed in SEEDS)
    assert not np.array_equal(shown, FULL(state())[TEXT])


def test_noise_is_drawn_anew_at_each_state_so_none_can_be_learnt_by_heart():
    visits = [replace(state(), stream=f"episode {n}") for n in range(50)]
    assert len({NOISY(visit)[TEXT].tobytes() for visit in visits}) > 20
    steps = [state("a", *[PastOperation(Operation.DEEPENING, False)] * step) for step in range(6)]
    assert len({NOISY(visit)[TEXT].tobytes() for visit in steps}) > 3


def test_the_same_visit_shows_the_same_noise_whatever_the_order_of_the_seeds():
    assert np.array_equal(NOISY(state()), encoder(FeatureConfig(ablation="text_noise"), SEEDS[::-1])(state()))


def test_a_zeroed_text_is_zeros():
    grown = state("Name a river of Asia that is long", chain=("Name a river",))
    assert not ZEROED(grown)[TEXT].any()


@pytest.mark.parametrize("unreading", [NOISY, ZEROED])
def test_without_the_text_a_policy_still_sees_history_and_step(unreading):
    past = (PastOperation(Operation.BREADTH, True),)
    for part in (HISTORY, PROGRESS):
        assert np.array_equal(unreading(state("a", *past))[part], FULL(state("a", *past))[part])


def test_growth_is_part_of_the_text_that_is_hidden():
    grown = state("Name a river of Asia that is long", chain=("Name a river",))
    assert not NOISY(grown)[TEXT][-GROWTH_SIZE:].any()
    assert FULL(grown)[TEXT][-GROWTH_SIZE:].any()


def test_without_history_a_policy_sees_text_and_step_alone():
    one = state("a", PastOperation(Operation.BREADTH, True))
    other = state("a", PastOperation(Operation.DEEPENING, False))
    assert np.array_equal(FORGETFUL(one), FORGETFUL(other))
    assert not np.array_equal(FULL(one), FULL(other))
    assert np.array_equal(FORGETFUL(one)[TEXT], FULL(one)[TEXT])
    assert not np.array_equal(FORGETFUL(one), FORGETFUL(state("a")))


def test_noise_needs_the_training_seeds():
    with pytest.raises(ValueError, match="training seeds"):
        encoder(FeatureConfig(ablation="text_noise"))
