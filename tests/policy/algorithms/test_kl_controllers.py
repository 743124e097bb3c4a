"""The weight of a reference term follows the KL, by each controller as its authors have it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from teams_dagster.policy.algorithms.config import KLReferenceConfig
from teams_dagster.policy.algorithms.controller_config import (
    AdaptiveControllerConfig,
    BallControllerConfig,
    PIDControllerConfig,
)
from teams_dagster.policy.algorithms.kl_controllers import Steering, steered

CONTROLLERS = [
    AdaptiveControllerConfig(),
    PIDControllerConfig(proportional=0.2, integral=0.05, derivative=0.1),
    BallControllerConfig(learning_rate=0.05),
]
EVERY = pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: controller.name)


def kappas(controller, *kls, weight=0.3, target=0.5):
    config, now, found = KLReferenceConfig(weight=weight, target=target, controller=controller), Steering(weight), []
    for kl in kls:
        now = steered(now, kl, config)
        found.append(now.kappa)
    return found


@given(st.floats(1e-3, 10), st.floats(0, 5))
def test_a_fixed_kappa_stays(kappa, kl):
    assert steered(Steering(kappa), kl, KLReferenceConfig(weight=1)) == Steering(kappa)


@given(st.floats(1e-3, 10), st.floats(0, 5), st.floats(1e-3, 2))
def test_an_adaptive_kappa_moves_as_the_formula_says(kappa, kl, target):
    expected = kappa * (1 + 0.1 * np.clip((kl - target) / target, -0.2, 0.2))
    assert kappas(AdaptiveControllerConfig(), kl, weight=kappa, target=target) == [pytest.approx(expected)]


def test_an_adaptive_kappa_without_a_clip_follows_the_whole_error():
    assert kappas(AdaptiveControllerConfig(gain=0.5, clip=None), 1.5) == [pytest.approx(0.3 * (1 + 0.5 * 2))]


def test_pid_is_the_sum_of_its_parts():
    controller = PIDControllerConfig(proportional=0.2, integral=0.05, derivative=0.1)
    first, second, third = kappas(controller, 0.7, 0.9, 0.4)
    assert first == pytest.approx(0.3 + 0.05 * 0.2 + 0.2 * 0.2)
    assert second == pytest.approx(0.3 + 0.05 * 0.6 + 0.2 * 0.4 + 0.1 * 0.2)
    assert third == pytest.approx(0.3 + 0.05 * 0.5 - 0.2 * 0.1)


def test_a_ball_is_a_step_of_adam_kept_above_nothing():
    weight = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    adam, expected = torch.optim.Adam([weight], lr=0.05), []
    for kl in (0.7, 0.2, 0.9):
        weight.grad = torch.tensor(0.5 - kl, dtype=torch.float64)
        adam.step()
        expected.append(float(weight))
    assert kappas(BallControllerConfig(learning_rate=0.05), 0.7, 0.2, 0.9) == pytest.approx(expected)


def test_inside_the_ball_nothing_is_paid():
    assert kappas(BallControllerConfig(learning_rate=0.2), *[0.1] * 9)[-1] == 0.0


@EVERY
def test_kappa_grows_above_the_target_and_shrinks_below(controller):
    [above], [below], [at] = (kappas(controller, kl) for kl in (0.8, 0.3, 0.5))
    assert above > 0.3 > below
    assert at == pytest.approx(0.3)


@EVERY
@given(kls=st.lists(st.floats(0, 50), max_size=20))
def test_kappa_is_never_negative(controller, kls):
    assert all(kappa >= 0 for kappa in kappas(controller, *kls))


@pytest.mark.parametrize("controller", CONTROLLERS[1:], ids=lambda controller: controller.name)
def test_a_controller_without_a_target_is_refused(controller):
    with pytest.raises(ValidationError, match=f"controller is {controller.name}, and there is no target"):
        KLReferenceConfig(weight=1, controller=controller)


def test_a_configuration_of_earlier_versions_is_written_as_it_was():
    assert KLReferenceConfig(weight=0.3, target=0.5).model_dump() == {"weight": 0.3, "target": 0.5}


@EVERY
def test_what_was_written_is_read_again(controller):
    config = KLReferenceConfig(weight=0.3, target=0.5, controller=controller)
    assert KLReferenceConfig.model_validate_json(config.model_dump_json()) == config
