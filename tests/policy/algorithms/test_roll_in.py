"""Who acts when."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.rng import uniform
from teams_dagster.policy.algorithms.algorithm import algorithm_of
from teams_dagster.policy.algorithms.batch import RollIn, Who
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)

HORIZON = 6


def plans(config, iteration=0, count=3000):
    algorithm = algorithm_of(config, 0)
    return [
        algorithm.roll_in(iteration, HORIZON, lambda name, row=row: uniform("roll-in", row, name))
        for row in range(count)
    ]


def shares(config, **options):
    met = Counter(plan.switch for plan in plans(config, **options))
    return {switch: count / met.total() for switch, count in met.items()}


@given(st.integers(0, 9))
def test_the_first_acts_before_the_switch_and_the_other_from_it_on(switch):
    plan = RollIn(Who.GUIDE, Who.LEARNER, switch)
    assert [plan.who(step) for step in range(9)] == [Who.GUIDE] * switch + [Who.LEARNER] * (9 - switch)


@pytest.mark.parametrize("config", [TRPOConfig(), PPOConfig(), PPOPlusPlusConfig(beta=0)])
def test_plain_algorithms_and_ppo_plus_plus_without_beta_never_ask_the_guide(config):
    assert all(plan.who(step) is Who.LEARNER for plan in plans(config, count=50) for step in range(HORIZON))
    assert not config.asks_guide


def test_ppo_plus_plus_begins_beta_of_the_episodes_with_one_to_five_steps_of_the_guide():
    expected = {0: 0.2} | dict.fromkeys(range(1, HORIZON), 0.8 / (HORIZON - 1))
    assert shares(PPOPlusPlusConfig(beta=0.8)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("form", ["mask", "one_step"])
def test_aggrevated_begins_beta_of_the_episodes_with_one_to_six_steps_of_the_learner(form):
    expected = {0: 0.2} | dict.fromkeys(range(1, HORIZON + 1), 0.8 / HORIZON)
    assert shares(AggreVaTeDConfig(beta=0.8, form=form)) == pytest.approx(expected, abs=0.03)


def test_enumerated_aggrevated_branches_a_uniform_step_in_beta_of_the_episodes():
    met = plans(AggreVaTeDConfig(beta=0.8, form="enumerated"))
    branched = Counter(plan.switch for plan in met if plan.branch)
    assert branched.total() / len(met) == pytest.approx(0.8, abs=0.03)
    assert sorted(branched) == list(range(HORIZON))
    assert all(plan.switch == 0 for plan in met if not plan.branch)


def test_an_episode_of_one_step_has_no_roll_in_of_the_guide():
    plan = algorithm_of(PPOPlusPlusConfig(beta=1), 0).roll_in(0, 1, lambda name: 0.0)
    assert plan.who(0) is Who.LEARNER


def test_behaviour_cloning_is_all_the_guides():
    assert all(plan.who(step) is Who.GUIDE for plan in plans(BCConfig(), count=20) for step in range(HORIZON))


def test_dagger_labels_the_guides_states_first_and_then_the_learners():
    first, second = plans(DAggerConfig(), 0, 20), plans(DAggerConfig(), 1, 20)
    assert all(plan.who(0) is Who.GUIDE for plan in first)
    assert all(plan.who(0) is Who.LEARNER and plan.ask_labels for plan in second)


def test_daggers_guide_fades_as_its_decay_says():
    acting = [plan.who(0) is Who.GUIDE for plan in plans(DAggerConfig(guide_decay=0.7), 2)]
    assert sum(acting) / len(acting) == pytest.approx(0.49, abs=0.03)


@pytest.mark.parametrize(
    ("config", "asks"),
    [
        (PPOConfig(imitation_weight=0.1), True),
        (PPOPlusPlusConfig(), True),
        (LOLSConfig(), True),
        (LOLSConfig(tau=1, beta_learner=0), False),
        (D2LOLSConfig(switch=0, beta_learner=0), False),
    ],
)
def test_an_algorithm_says_whether_it_asks_the_guide(config, asks):
    assert config.asks_guide is asks


def test_ppo_with_an_imitation_weight_has_its_own_states_labelled():
    assert all(plan.ask_labels for plan in plans(PPOConfig(imitation_weight=0.1), count=5))


@pytest.mark.parametrize(
    "config",
    [
        PPOConfig(),
        PPOConfig(imitation_weight=0.1),
        PPOPlusPlusConfig(beta=0.8),
        *(AggreVaTeDConfig(form=form, beta=0.8) for form in ("mask", "one_step", "enumerated")),
        D2LOLSConfig(switch=0, beta_learner=0.4),
        BCConfig(),
        DAggerConfig(),
    ],
    ids=lambda config: config.name,
)
def test_a_training_is_sized_by_the_steps_that_roll_ins_come_to(config):
    choices, everyone, guide, labels, rolled = 7, 0, 0, 0, plans(config)
    for plan in rolled:
        later = HORIZON - plan.switch
        everyone += plan.switch + choices * later if plan.branch else HORIZON
        guided = sum(plan.who(step) is Who.GUIDE for step in range(HORIZON))
        guide += choices * (later - 1) if plan.branch else guided
        labels += HORIZON if plan.ask_labels else 0
    expected = config.expected_steps(0, HORIZON, choices)
    assert expected == pytest.approx([total / len(rolled) for total in (everyone, guide, labels)], rel=0.05)


def test_dagger_follows_its_guide_first_and_then_asks_for_labels():
    config = DAggerConfig(guide_decay=0.5)
    assert [config.expected_steps(number, 6, 7) for number in (0, 1)] == [(6, 6, 0), (6, 3, 3)]
