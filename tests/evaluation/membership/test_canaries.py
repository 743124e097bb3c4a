from __future__ import annotations

import numpy as np
import pytest

from teams_dagster.evaluation.membership.canaries import exposure, make_canaries
from teams_dagster.evaluation.privacy import CanaryAudit


def test_canaries_belong_to_their_seed_and_side() -> None:
    shown = make_canaries(50, 0, "shown")
    assert shown == make_canaries(50, 0, "shown")
    others = [*make_canaries(50, 0, "never"), *make_canaries(50, 1, "shown")]
    assert not {canary.response for canary in shown} & {canary.response for canary in others}
    assert len({canary.seed_id for canary in shown}) == 50


def test_exposure_is_of_the_rank_among_those_never_shown() -> None:
    never = np.arange(7.0)
    assert exposure(np.array([-1.0]), never) == 3.0
    assert exposure(np.array([6.5]), never) == 0.0
    assert exposure(np.array([-1.0, 6.5]), never) == 1.5


def test_exposure_of_what_was_not_learnt_is_about_one_and_a_half_bits() -> None:
    random = np.random.default_rng(0)
    assert exposure(random.normal(size=4000), random.normal(size=4000)) == pytest.approx(1 / np.log(2), abs=0.1)


def test_guessing_gives_the_exposure_of_a_rank_drawn_among_those_never_shown() -> None:
    draw = np.random.default_rng(0)
    drawn = [exposure(draw.normal(size=50), draw.normal(size=50)) for _ in range(400)]
    guessed = CanaryAudit((), 0.0, 0.0, 0.0, shown=50, times_shown=1).guessed_exposure
    assert guessed == pytest.approx(1.36, abs=0.005)
    assert np.mean(drawn) == pytest.approx(guessed, abs=0.02)
