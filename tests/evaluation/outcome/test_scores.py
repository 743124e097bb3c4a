"""From students to scores and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.metadata import Table
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import Question
from teams_dagster.evaluation.constraints.prompts import constrained_prompts
from teams_dagster.evaluation.outcome.items import Items
from teams_dagster.evaluation.outcome.plan import ARMS, BASE, COMPARED, TRAINED_COUNTED
from teams_dagster.evaluation.outcome.scores import (
    CANNOT_TELL,
    MEASURES,
    Difference,
    OutcomeScore,
    all_scores,
    differences,
    verdict,
)
from teams_dagster.evaluation.outcome.students import Measured
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.report.preview_outcome import outcome_tables

PAIRS = tuple(Example(f"pair {n}", f"seed {n}", Instruction(f"Do {n}."), "Done.") for n in range(8))

ITEMS = Items(
    PAIRS, tuple(Question(pair, ("a", "b", "c", "d"), (1, 1, 1, 1)) for pair in PAIRS), constrained_prompts()[:8], {}
)


def student(log_probability: float, number: int = 0) -> Measured:
    """One whose pairs are about so likely."""
    return Measured(
        log_probabilities=tuple(log_probability - 0.01 * (number + at % 3) for at in range(8)),
        tokens=(4,) * 8,
        credits=(1.0, 0.0) * 4,
        replies={prompt.prompt_id: "It rains." for prompt in ITEMS.prompts},
        updates=3,
        final_loss=1.0,
    )


STUDENTS = {arm: [student(-4.0 if arm == TRAINED else -8.0, number) for number in range(3)] for arm in ARMS}


def found(ours: str, other: str, metric: str) -> Difference:
    return next(
        each
        for each in differences(ITEMS, STUDENTS)
        if (each.ours, each.other, each.measure.metric) == (ours, other, metric)
    )


def scores() -> list[OutcomeScore]:
    return all_scores(ITEMS, STUDENTS, student(-12.0), differences(ITEMS, STUDENTS))


def test_a_loss_is_told_a_token_and_its_difference_paired():
    assert found(TRAINED, UNIFORM, "loss").estimate.value == pytest.approx(-1.0)


def test_arms_that_score_alike_are_not_told_apart():
    estimate = found(TRAINED_COUNTED, UNIFORM, "loss").estimate
    assert verdict(estimate.value, estimate.low, estimate.high, lower_is_better=True) == CANNOT_TELL


@pytest.mark.parametrize(
    ("value", "low", "high", "lower_is_better", "said"),
    [
        (-1.0, -2.0, -0.5, True, "better"),
        (1.0, 0.5, 2.0, True, "worse"),
        (1.0, 0.5, 2.0, False, "better"),
        (1.0, -0.5, 2.0, False, CANNOT_TELL),
        (0.0, 0.0, 0.0, False, CANNOT_TELL),
        (0.0, None, None, False, CANNOT_TELL),
    ],
)
def test_an_interval_on_one_side_of_zero_is_told(
    value: float, low: float | None, high: float | None, lower_is_better: bool, said: str
):
    assert verdict(value, low, high, lower_is_better=lower_is_better) == said


def test_where_no_student_chose_otherwise_the_study_does_not_say_how_little_it_could_have_seen():
    """Nothing varied: no error of 0, no interval of one point, no smallest difference of 0."""
    alike = [score for score in scores() if score.metric.startswith("choice_accuracy_minus_")]
    assert {(score.value, score.stderr, score.ci_low, score.ci_high) for score in alike} == {(0.0, None, None, None)}
    tables = outcome_tables(scores())
    shown = [str(row[2]) for name in ("differences", "smallest_detectable_differences") for row in rows(tables[name])]
    assert all("not known" in cell for cell in shown)


def test_every_arm_and_the_base_are_scored_in_every_measure():
    levels = {(score.model, score.metric) for score in scores()}
    assert {(arm, measure.metric) for arm in (BASE, *ARMS) for measure in MEASURES} <= levels


def test_what_the_study_could_have_seen_is_shown_before_what_it_saw():
    shown = list(outcome_tables(scores()))
    assert shown.index("smallest_detectable_differences") < shown.index("differences")


def test_every_difference_is_shown_with_its_verdict():
    shown = rows(outcome_tables(scores())["differences"])
    assert [row[0] for row in shown] == [f"{ours} less {other}" for ours, other in COMPARED]
    assert str(shown[0][1]).endswith("better")


def rows(table: object) -> Sequence[Sequence[object]]:
    assert isinstance(table, Table)
    return table.rows


def test_two_prompts_of_one_task_are_one_cluster_of_the_error():
    task = ITEMS.prompts[0].task_id
    twice = replace(ITEMS, prompts=tuple(prompt for prompt in constrained_prompts() if prompt.task_id == task))
    base = replace(student(-12.0), replies={prompt.prompt_id: "It rains." for prompt in twice.prompts})
    assert len(twice.prompts) == 2
    [strict] = [each for each in all_scores(twice, {}, base, []) if each.metric == "prompt_strict"]
    assert strict.n == 1
