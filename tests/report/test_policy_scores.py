from __future__ import annotations

import math
from dataclasses import replace

import pytest

from teams_dagster.policy.comparison.scores import Score
from teams_dagster.report.policy_scores import (
    Cell,
    break_even_lines,
    differences_table,
    gap_shares,
    mix_table,
    policies_table,
    raw_table,
)
from teams_dagster.report.policy_sentences import few_trainings, learnt, simpler_rule, training_seeds
from tests.report.example_report import ACCEPTED, EXAMPLE, policy_score

SCORES = EXAMPLE.policy.scores
PAYS = "samples_to_pay_for_training"


def test_the_table_of_policies_has_a_row_for_each_and_a_column_for_each_metric_that_was_measured() -> None:
    table = policies_table(SCORES)
    assert {row.name for row in table.rows} == set(ACCEPTED)
    assert "vendi_score" in table.columns
    few = policies_table(
        [policy_score("uniform", "return", 2.0, 0.1), policy_score("trained", "vendi_score", 30.0, 2.0)]
    )
    assert few.columns == ("return", "vendi_score")
    assert few.rows[0].cells == (None, Cell("30.0", "28.0 to 32.0"))
    assert few.rows[1].cells == (Cell("2.000", "1.900 to 2.100"), None)


def test_differences_are_those_of_the_trained_policy_and_say_which_are_clear() -> None:
    table = differences_table(
        [
            policy_score("trained", "return_minus_uniform", 0.5, 0.1),
            policy_score("trained", "return_minus_guide", -0.05, 0.1),
            policy_score("trained", "length_growth_minus_x", 0.05, 0.1),
            policy_score("guide", "return_minus_uniform", 9, 1),
        ]
    )
    assert [(row.name, row.cells) for row in table.rows] == [
        ("uniform", (Cell("+0.500", "+0.400 to +0.600", clear=True),)),
        ("guide", (Cell("-0.050", "-0.150 to +0.050"),)),
    ]


def test_the_operation_mix_stands_side_by_side() -> None:
    table = mix_table([policy_score("trained", "share_of_none", 0.1, 0.05), policy_score("x", "share_of_none", 1, 0)])
    assert table.columns == ("trained",)
    assert [(row.name, str(row.cells[0])) for row in table.rows] == [("none", "10.0% (5.0% to 15.0%)")]


def test_without_scores_there_is_no_table_and_no_sentence() -> None:
    for table in (policies_table([]), differences_table([]), mix_table([])):
        assert (table.columns, table.rows) == ((), ())
    assert gap_shares([]) == break_even_lines([]) == raw_table([]) == []
    assert training_seeds([]) is None


def test_how_far_the_trained_policy_gets_is_a_share() -> None:
    assert gap_shares(SCORES, ("accepted_per_query",)) == [("accepted per query", Cell("47.0%", "38.0% to 56.0%"))]


def test_what_never_happens_is_never_and_not_a_number() -> None:
    half = replace(policy_score("trained", PAYS, 4_000, 1_000), ci_high=math.inf)
    never = policy_score("trained", f"{PAYS}_in_dollars", math.inf, 0)
    assert break_even_lines([half, never]) == [
        "in queries: after 4,000 accepted edits (95%: 3,000 to never)",
        "in dollars: never",
    ]
    assert [row[2:4] for row in raw_table([half, never])] == [("4,000", "3,000 to never"), ("never", "never to never")]


def test_trainings_are_counted_where_they_were_compared() -> None:
    deployed_only = policy_score("trained", "vendi_score", 30, 2, training_seeds=1)
    assert training_seeds([deployed_only, policy_score("trained", "return", 2, 0.1, training_seeds=5)]) == 5


def test_a_table_in_markdown_holds_text_only() -> None:
    table = policies_table([policy_score("<b>|`x`", "return", 2.0, 0.1)])
    assert "<b>" not in table.markdown("policy")
    assert table.markdown("policy").splitlines()[0] == "| policy | return |"


@pytest.mark.parametrize(("trainings", "said"), [(1, "Only one training"), (4, "Only 4 trainings"), (5, "")])
def test_intervals_of_fewer_than_five_trainings_say_so(trainings: int, said: str) -> None:
    found = few_trainings([policy_score("trained", "return", 2, 0.1, training_seeds=trainings)])
    assert found.startswith(said)
    assert bool(found) is bool(said)


def above_control(name: str, mean: float) -> Score:
    return policy_score("trained", f"distinct_accepted_per_query_minus_{name}", mean, 0.02)


def test_a_policy_learnt_to_read_only_where_it_exceeds_the_stricter_control() -> None:
    clear, unclear = above_control("text_noise", 0.05), above_control("text_zeroed", 0.01)
    assert learnt([clear]).startswith("It learnt to read: +0.050")
    assert learnt([clear, unclear]).startswith("It learnt an order of operations, not to read")
    assert "over text zeroed" in learnt([clear, unclear])


def test_what_was_not_measured_of_reading_is_said() -> None:
    assert "was not measured" in learnt([policy_score("trained", "return", 2, 0.1)])
    assert learnt([]) == ""


def over_rule(name: str, distinct: float, gained: float) -> list[Score]:
    return [
        policy_score("trained", f"distinct_accepted_per_query_minus_{name}", distinct, 0.02),
        policy_score("trained", f"return_minus_{name}", gained, 0.1),
    ]


def test_a_simpler_rule_suffices_where_the_policy_does_not_exceed_the_nearest() -> None:
    assert simpler_rule([*over_rule("open_loop", 0.2, 1.0), *over_rule("table", 0.01, 0.0)]).startswith(
        "A simpler rule suffices, as far as can be told: +0.010 distinct accepted per query"
    )


def test_the_rule_that_may_do_as_well_is_named_though_another_comes_nearer_on_the_mean() -> None:
    sure = policy_score("trained", "distinct_accepted_per_query_minus_open_loop", 0.01, 0.005)
    unsure = policy_score("trained", "distinct_accepted_per_query_minus_table", 0.02, 0.03)
    returns = [policy_score("trained", f"return_minus_{name}", 1.0, 0.1) for name in ("open_loop", "table")]
    assert simpler_rule([sure, unsure, *returns]).startswith(
        "A simpler rule suffices, as far as can be told: +0.020 distinct accepted per query (95%: -0.010 to +0.050)"
    )


def test_the_stricter_control_is_the_one_that_may_do_as_well() -> None:
    sure = policy_score("trained", "distinct_accepted_per_query_minus_text_noise", 0.01, 0.005)
    unsure = above_control("text_zeroed", 0.015)
    assert learnt([sure, unsure]).startswith("It learnt an order of operations, not to read")


def test_a_rule_that_only_repeats_itself_suffices_where_a_seed_is_played_once() -> None:
    said = simpler_rule([*over_rule("open_loop", 0.2, 1.0), *over_rule("table", 0.1, 0.05)])
    assert said.startswith("Where a seed is played once, a simpler rule suffices: +0.050 return")
    assert "over table, the nearest" in said


def test_a_learner_is_needed_where_it_exceeds_every_rule() -> None:
    said = simpler_rule([*over_rule("open_loop", 0.2, 1.0), *over_rule("table", 0.1, 0.5)])
    assert said.startswith("No simpler rule that was tried does as well")


def times_rule(name: str, ratio: float) -> Score:
    return policy_score("trained", f"distinct_accepted_per_query_over_{name}", ratio, 0.01)


def test_a_rule_that_comes_within_a_tenth_is_said_nearly_to_suffice() -> None:
    said = simpler_rule([*over_rule("table", 0.1, 0.5), times_rule("table", 1.06)])
    assert said.startswith("A simpler rule nearly suffices: +0.100 distinct accepted per query")
    assert "over table (1.06 times), the nearest" in said


def test_a_learner_that_is_needed_is_told_with_how_many_times_the_nearest_rule_it_finds() -> None:
    said = simpler_rule([*over_rule("table", 0.1, 0.5), times_rule("table", 1.2)])
    assert said.startswith("No simpler rule that was tried does as well")
    assert "over table (1.20 times), the nearest" in said


def test_what_was_not_measured_of_simpler_rules_is_said() -> None:
    assert "was not measured" in simpler_rule([policy_score("trained", "return", 2, 0.1)])
    assert simpler_rule([]) == ""
