"""How much a preflight asks, and when what it found out does not hold any more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.instructions.prompts import use_prompts
from teams_dagster.llm.keys import request_key
from teams_dagster.preflight.labelled_pairs import Split
from teams_dagster.preflight.plan import FULL, QUICK, Planned, Size, most_queries, planned, record_key

MODEL = ModelIdentity("openai", "m", "http://127.0.0.1/v1")
TEXTS = [Instruction(f"Say {number}.") for number in range(50)]


def plans(size: Size) -> list[Planned]:
    return [planned(role, MODEL, TEXTS, size) for role in Role]


@pytest.mark.parametrize(("size", "most"), [(FULL, 600), (QUICK, 100)])
def test_all_roles_together_stay_below_what_is_promised(size: Size, most: int):
    assert most_queries(plans(size)) <= most


def test_every_labelled_pair_is_asked_once_and_40_a_role_in_the_other_order_too():
    reviewer, judge = planned(Role.REVIEWER, MODEL, TEXTS, FULL), planned(Role.JUDGE, MODEL, TEXTS, FULL)
    assert len(reviewer.queries()) == 144 + 40
    assert len(judge.queries()) == 124 + 40


def test_ratings_are_tried_where_they_decide_and_a_quick_preflight_rates_as_many_good_pairs_as_bad_ones():
    assert planned(Role.JUDGE, MODEL, TEXTS, FULL).ratings() == []
    full, quick = (planned(Role.JUDGE, MODEL, TEXTS, size, ratings=True) for size in (FULL, QUICK))
    assert len(full.ratings()) == 120
    assert Counter(pair.good for pair in quick.rating_pairs) == {True: 16, False: 16}
    assert most_queries([full]) == most_queries([planned(Role.JUDGE, MODEL, TEXTS, FULL)]) + 120


def test_no_query_of_a_role_is_asked_twice():
    for plan in plans(FULL):
        keys = [request_key(MODEL, request) for request in (*plan.queries(), *plan.answers())]
        assert len(set(keys)) == len(keys)


def test_a_quick_preflight_takes_as_many_pairs_of_each_label():
    labels = Counter(pair.label for pair in planned(Role.REVIEWER, MODEL, TEXTS, QUICK).review_pairs)
    assert len(set(labels.values())) == 1


def test_a_reviewer_that_was_calibrated_on_pairs_is_tried_on_the_others():
    embedding = replace(MODEL, provider="embedding")
    assert {pair.split for pair in planned(Role.REVIEWER, embedding, TEXTS, FULL).review_pairs} == {Split.TEST}


def test_what_was_found_out_holds_for_the_same_role_model_and_prompts_alone(tmp_path: Path):
    key = record_key(Role.REVIEWER, MODEL)
    assert key == record_key(Role.REVIEWER, replace(MODEL))
    assert key != record_key(Role.REVIEWER, replace(MODEL, model="another"))
    assert key != record_key(Role.JUDGE, MODEL)
    instructor = record_key(Role.INSTRUCTOR, MODEL)
    (tmp_path / "_rules.md").write_text("Be brief.", encoding="utf-8")
    use_prompts(tmp_path)
    assert record_key(Role.INSTRUCTOR, MODEL) != instructor
    assert record_key(Role.REVIEWER, MODEL) == key, "its prompt is the same"
