"""Arms at equal queries: every rewrite, review and answer counts, and rows are drawn by lot."""

from __future__ import annotations

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.outcome.arms import ArmPairs, draw_rows, seeds_alone
from teams_dagster.evaluation.outcome.plan import TRAINED_COUNTED, OutcomePlan, TooFewQueries
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.student.adapter_config import AdapterConfig


def plan(**changed: int) -> OutcomePlan:
    sizes = {"queries": 100, "training_queries": 40, "rows": 6, "students": 3} | changed
    return OutcomePlan(adapter=AdapterConfig(kind="lora"), **sizes)


def pairs(count: int) -> ArmPairs:
    made = [Example(str(number), str(number), Instruction(f"Do {number}."), "Done.") for number in range(count)]
    return ArmPairs(UNIFORM, tuple(made), asked=3 * count, duplicates=0, refused=0, unanswered=0)


def test_what_training_asked_is_taken_from_one_arm_alone():
    assert (plan().allowance(TRAINED_COUNTED), plan().allowance(UNIFORM)) == (60, 100)


def test_queries_that_training_alone_uses_up_are_refused_with_the_setting():
    with pytest.raises(TooFewQueries, match="set `queries` to 200"):
        plan(training_queries=100).allowance(TRAINED_COUNTED)


def test_every_student_has_as_many_rows_also_where_the_arm_has_fewer_pairs():
    rows = draw_rows(pairs(4), plan(), 0)
    assert (len(rows), len({row.sample_id for row in rows})) == (6, 4)


def test_no_row_comes_twice_where_there_are_enough_pairs():
    rows = draw_rows(pairs(20), plan(), 0)
    assert len({row.sample_id for row in rows}) == 6


def test_students_draw_rows_of_their_own_and_the_same_ones_again():
    first, again, second = (draw_rows(pairs(50), plan(), student) for student in (0, 0, 1))
    assert first == again != second


def test_an_arm_without_a_pair_is_named():
    with pytest.raises(ValueError, match="arm uniform of outcome_scores kept no pair"):
        draw_rows(pairs(0), plan(), 0)


def test_seeds_are_answered_once_each_as_far_as_queries_go():
    seeds = {str(number): Instruction(f"Do {number}.") for number in range(5)}
    assert (len(seeds_alone(seeds, 3)), len(seeds_alone(seeds, 100))) == (3, 5)
