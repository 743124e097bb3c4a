from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageColor

from teams_dagster.core.operations import Operation
from teams_dagster.policy.comparison.distinctness import Measure
from teams_dagster.report import pictures
from teams_dagster.report.content import GenerationResults, LengthAtStep, OperationAtStep, Stage
from teams_dagster.report.pictures.canvas import (
    GREEN,
    GREY,
    TINTS,
    label,
    name_colours,
    nothing_to_show,
    operation_colour,
)
from teams_dagster.student.curves import TrainingPoint
from tests.report.example_report import EXAMPLE, HOSTILE, cost, evaluation_score, iteration, policy_score
from tests.support.commands import ROOT

NAN = float("nan")

OF_OTHER_TESTS = "ignore::ResourceWarning"
"""What they left open is closed whenever Python gets to it."""

PHASES = tuple(
    replace(iteration(i), phase=("lols", "ppo")[i % 2], explained_variance=None, guidance_queries=0) for i in range(6)
)
"""An algorithm that changes its phase at every iteration, and has no critic and no guide."""

_DRAW: dict[str, Callable[[], bytes]] = {
    "learning_curve": lambda: pictures.learning_curve(EXAMPLE.policy.curve),
    "operation_mix": lambda: pictures.operation_mix(EXAMPLE.policy.curve),
    "operation_mix_by_step": lambda: pictures.operation_mix_by_step(EXAMPLE.dataset.operations),
    "policies_compared": lambda: pictures.policies_compared(EXAMPLE.policy.scores, "accepted_per_query"),
    "policies_against_uniform": lambda: pictures.policies_compared(
        EXAMPLE.policy.scores, "accepted_per_query_minus_uniform"
    ),
    "differences": lambda: pictures.differences(EXAMPLE.policy.scores),
    "yield_funnel": lambda: pictures.yield_funnel(EXAMPLE.dataset.funnel),
    "lengths_by_step": lambda: pictures.lengths_by_step(EXAMPLE.dataset.lengths),
    "training_curves": lambda: pictures.training_curves({a.kind: a.curve for a in EXAMPLE.models.adapters}),
    "evaluation_scores": lambda: pictures.evaluation_scores(EXAMPLE.models.scores),
    "win_rates": lambda: pictures.win_rates(EXAMPLE.models.win_rates),
    "privacy_roc": lambda: pictures.privacy_roc(EXAMPLE.models.privacy),
    "costs": lambda: pictures.costs(EXAMPLE.account.by_role),
    "costs_by_role_and_operation": lambda: pictures.costs_by_role_and_operation(EXAMPLE.account.by_role_and_operation),
    "diversity": lambda: pictures.diversity(EXAMPLE.dataset.diversity_by_step, x="step"),
    "generations": lambda: pictures.generations(EXAMPLE.dataset.generations),
}
FULL = {name: cache(draw) for name, draw in _DRAW.items()}
"""Each is drawn once, and looked at by several tests."""

EMPTY: dict[str, Callable[[], bytes]] = {
    "learning_curve": lambda: pictures.learning_curve(()),
    "operation_mix": lambda: pictures.operation_mix(()),
    "operation_mix_by_step": lambda: pictures.operation_mix_by_step(()),
    "policies_compared": lambda: pictures.policies_compared(EXAMPLE.policy.scores, "not measured"),
    "differences": lambda: pictures.differences([s for s in EXAMPLE.policy.scores if s.policy != "trained"]),
    "yield_funnel": lambda: pictures.yield_funnel((Stage("asked", 0),)),
    "lengths_by_step": lambda: pictures.lengths_by_step(()),
    "training_curves": lambda: pictures.training_curves({"lora": ()}),
    "evaluation_scores": lambda: pictures.evaluation_scores(()),
    "win_rates": lambda: pictures.win_rates(()),
    "privacy_roc": lambda: pictures.privacy_roc(()),
    "costs": lambda: pictures.costs(()),
    "costs_by_role_and_operation": lambda: pictures.costs_by_role_and_operation(()),
    "diversity": lambda: pictures.diversity((), x="step"),
    "generations": lambda: pictures.generations(()),
}

ODD: dict[str, Callable[[], bytes]] = {
    "one iteration": lambda: pictures.learning_curve((iteration(0),)),
    "one iteration's mix": lambda: pictures.operation_mix((iteration(0),)),
    "values that are no numbers": lambda: pictures.learning_curve((replace(iteration(0), kl=NAN, mean_return=NAN),)),
    "phases that alternate, no critic": lambda: pictures.learning_curve(PHASES),
    "one difference": lambda: pictures.differences(
        (policy_score("trained", "accepted_per_episode_minus_x", 0.1, 0.2),)
    ),
    "a difference from a hostile policy": lambda: pictures.differences(
        (policy_score("trained", f"accepted_per_episode_minus_{HOSTILE}", 0.1, NAN),)
    ),
    "one choice, of an unknown operation": lambda: pictures.operation_mix_by_step((OperationAtStep(0, HOSTILE, 1, 0),)),
    "one policy, no interval": lambda: pictures.policies_compared((policy_score(HOSTILE, "return", 1, NAN),), "return"),
    "one stage, a long reason": lambda: pictures.yield_funnel((Stage(HOSTILE, 1, {HOSTILE: 1}),)),
    "one length": lambda: pictures.lengths_by_step((LengthAtStep(0, 1, 5, 5, 5),)),
    "one point of training": lambda: pictures.training_curves({HOSTILE: (TrainingPoint(0, None, 3.0),)}),
    "one score": lambda: pictures.evaluation_scores((evaluation_score(HOSTILE, "heldout_loss", 2.0, None),)),
    "a win rate of a hostile model": lambda: pictures.win_rates((replace(EXAMPLE.models.win_rates[0], model=HOSTILE),)),
    "an area that is no number": lambda: pictures.privacy_roc((replace(EXAMPLE.models.privacy[0], auc=NAN),)),
    "one group without a name": lambda: pictures.costs((cost({"operation": None}, 1, unpriced=1),)),
    "a hostile role and operation": lambda: pictures.costs_by_role_and_operation(
        (cost({"role": HOSTILE, "operation": HOSTILE}, 5), cost({"role": None, "operation": None}, 5))
    ),
    "a hostile generation that kept nothing": lambda: pictures.generations(
        (GenerationResults(HOSTILE, 5, 0, 0, 0, NAN, NAN, NAN), *EXAMPLE.dataset.generations)
    ),
    "a set that was measured in part": lambda: pictures.diversity(
        (Measure(HOSTILE, "distinct_1", 0.2, 0.1, 0.3, 10), Measure("x", "vendi_score", NAN, NAN, NAN, 1)), x="step"
    ),
    "a hundred generations": lambda: pictures.generations(EXAMPLE.dataset.generations * 50),
    "a hostile group": lambda: pictures.costs((cost({"model": HOSTILE}, 5, nano=1),)),
}


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image.convert("RGB")


@pytest.mark.slow
@pytest.mark.filterwarnings("error", OF_OTHER_TESTS)
@pytest.mark.parametrize("draw", FULL.values(), ids=FULL.keys())
def test_a_picture_is_white_seven_inches_wide_at_twice_a_screens_resolution_and_small(draw) -> None:
    png = draw()
    image = opened(png)
    assert image.width == 2 * 96 * 7
    corner = image.getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert all(channel >= 250 for channel in corner)
    assert len(image.getcolors(256) or []) > 8, "something is drawn"
    assert len(png) < 150_000


@pytest.mark.parametrize("draw", EMPTY.values(), ids=EMPTY.keys())
def test_without_data_the_picture_says_so(draw) -> None:
    assert draw() == nothing_to_show()


@pytest.mark.slow
@pytest.mark.filterwarnings("error", OF_OTHER_TESTS)
@pytest.mark.parametrize("draw", ODD.values(), ids=ODD.keys())
def test_single_points_missing_numbers_and_hostile_names_are_drawn(draw) -> None:
    png = draw()
    assert opened(png).width == 2 * 96 * 7
    assert png != nothing_to_show()


def test_the_same_values_give_the_same_bytes() -> None:
    again = pictures.policies_compared(EXAMPLE.policy.scores, "accepted_per_query")
    assert again == FULL["policies_compared"]()


def test_an_interval_moves_the_picture() -> None:
    wider = tuple(replace(score, ci_high=score.ci_high + 0.1) for score in EXAMPLE.policy.scores)
    assert pictures.policies_compared(wider, "accepted_per_query") != FULL["policies_compared"]()


def test_a_phase_of_the_training_has_its_own_ground() -> None:
    def ground(png: bytes) -> int:
        """Pixels that are nearly of the second phase's colour: the palette moves it a little."""
        tint = ImageColor.getrgb(TINTS[1])
        pixels = np.asarray(opened(png), dtype=int)
        return int((np.abs(pixels - tint).max(axis=-1) < 8).sum())

    one_phase = [replace(record, phase="trpo") for record in EXAMPLE.policy.curve]
    assert ground(FULL["learning_curve"]()) > 100_000
    assert ground(pictures.learning_curve(one_phase)) < 1_000


def test_the_guide_has_a_chart_where_it_was_asked() -> None:
    alone = [replace(record, guidance_queries=0) for record in EXAMPLE.policy.curve]
    assert pictures.learning_curve(alone) != FULL["learning_curve"]()


def test_every_policy_has_a_row_and_the_ceiling_its_line() -> None:
    without = [score for score in EXAMPLE.policy.scores if score.policy != "look_ahead_free"]
    everyone = opened(FULL["policies_compared"]())
    others = opened(pictures.policies_compared(without, "accepted_per_query"))
    assert others.height < everyone.height
    green = ImageColor.getrgb(GREEN)
    assert green in {colour for _, colour in everyone.getcolors(1 << 16) or []}
    assert green not in {colour for _, colour in others.getcolors(1 << 16) or []}


def test_a_name_is_short_drawable_and_no_formula() -> None:
    assert label("add_constraints") == "add constraints"
    assert label("$x$") == r"\$x\$"
    assert label("m" * 100) == "m" * 25 + "..."
    assert label("模型") == "\N{WHITE SQUARE}" * 2


def test_pyplot_is_never_touched() -> None:
    code = (
        "import sys; from tests.report.test_pictures import FULL\n"
        "FULL['costs'](); print('matplotlib.pyplot' in sys.modules)"
    )
    drawn = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert drawn.stdout.strip() == "False"


def test_no_two_operations_have_one_colour_however_many_there_are() -> None:
    colours = [operation_colour(index) for index in range(21)]
    assert len({*colours, GREY}) == 22


def test_an_operation_keeps_its_colour_whatever_else_is_on_the_picture() -> None:
    alone, among = name_colours(["deepening"]), name_colours([operation.value for operation in Operation])
    assert among["deepening"] == alone["deepening"]
    assert among["none"] == GREY
