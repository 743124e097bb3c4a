"""From a state to what the policy reads, and the ablations."""

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import PastOperation, State
from teams_dagster.policy.encoder import FeatureConfig, encoder
from teams_dagster.policy.features import CUE_SIZE, GROWTH_SIZE, HISTORY_SIZE, LEXICAL_SIZE, PROGRESS_SIZE
from tests.support.toy_world import topical_seeds

SEEDS = tuple(topical_seeds(60).values())
BLIND = encoder(FeatureConfig(ablation="text_blind"), SEEDS)
FORGETFUL = encoder(FeatureConfig(ablation="no_history"))
FULL = encoder(FeatureConfig())

TEXT = slice(0, LEXICAL_SIZE + CUE_SIZE + GROWTH_SIZE)
HISTORY = slice(TEXT.stop, TEXT.stop + HISTORY_SIZE)
PROGRESS = slice(HISTORY.stop, HISTORY.stop + PROGRESS_SIZE)


def state(text="Name a river", *past, chain=()):
    return State("s", (*(Instruction(t) for t in chain), Instruction(text)), tuple(past))


def test_every_ablation_reads_as_many_numbers():
    assert FULL.size == BLIND.size == FORGETFUL.size == PROGRESS.stop
    assert len({FULL.version, BLIND.version, FORGETFUL.version}) == 3


def test_blind_to_the_text_a_policy_sees_the_features_of_a_training_seed():
    shown = BLIND(state())[TEXT]
    assert any(np.array_equal(shown, FULL(state(seed.text))[TEXT]) for seed in SEEDS)
    assert not np.array_equal(shown, FULL(state())[TEXT])


def test_the_same_text_always_shows_the_same_other_one():
    assert np.array_equal(BLIND(state()), encoder(FeatureConfig(ablation="text_blind"), SEEDS[::-1])(state()))


def test_texts_that_are_alike_do_not_show_like_ones():
    shown = [BLIND(state(f"Describe the river in place {n}"))[TEXT] for n in range(200)]
    assert len({vector.tobytes() for vector in shown}) > 40


def test_blind_to_the_text_a_policy_still_sees_history_and_step():
    past = (PastOperation(Operation.BREADTH, True),)
    for part in (HISTORY, PROGRESS):
        assert np.array_equal(BLIND(state("a", *past))[part], FULL(state("a", *past))[part])


def test_growth_is_part_of_the_text_that_is_hidden():
    grown = state("Name a river of Asia that is long", chain=("Name a river",))
    assert not BLIND(grown)[TEXT][-GROWTH_SIZE:].any()
    assert FULL(grown)[TEXT][-GROWTH_SIZE:].any()


def test_without_history_a_policy_sees_text_and_step_alone():
    one = state("a", PastOperation(Operation.BREADTH, True))
    other = state("a", PastOperation(Operation.DEEPENING, False))
    assert np.array_equal(FORGETFUL(one), FORGETFUL(other))
    assert not np.array_equal(FULL(one), FULL(other))
    assert np.array_equal(FORGETFUL(one)[TEXT], FULL(one)[TEXT])
    assert not np.array_equal(FORGETFUL(one), FORGETFUL(state("a")))


def test_blindness_needs_the_training_seeds():
    with pytest.raises(ValueError, match="training seeds"):
        encoder(FeatureConfig(ablation="text_blind"))
