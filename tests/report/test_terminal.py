from __future__ import annotations

from teams_dagster.report.terminal import policy_lines, win_rate_lines
from tests.report.example_report import ACCEPTED, EXAMPLE, policy_score


def test_every_policy_has_a_line_then_the_gap_and_the_pay_off_have_one_each() -> None:
    lines = policy_lines(EXAMPLE.policy.scores)
    assert len(lines) == 1 + len(ACCEPTED) + 2
    assert lines[0].split("  ")[0] == "policy, held-out seeds"
    assert lines[1].split() == [
        *("trained", "0.343", "0.323", "to", "0.363"),
        *("4.191", "3.991", "to", "4.391", "0.914", "0.894", "to", "0.934"),
    ]
    assert lines[-2] == (
        "of the way from uniform to the free look-ahead, trained goes:"
        " distinct accepted per query 47.0% (38.0% to 56.0%)"
    )
    assert lines[-1] == (
        "training has paid for itself, in queries: after 41,250 accepted edits (95%: 32,250 to never);"
        " in dollars: never"
    )


def test_what_was_not_measured_has_no_line() -> None:
    lines = policy_lines([policy_score("uniform", "accepted_per_episode", 0.3, 0.02)])
    assert lines == [
        "policy, held-out seeds  accepted per episode    95% interval",
        "uniform                                0.300  0.280 to 0.320",
    ]


def test_every_adapter_has_a_line_with_its_win_rates() -> None:
    lines = win_rate_lines(EXAMPLE.models.win_rates)
    assert lines[1].split() == "lora against base 0.820 0.700 to 0.920 0.780 0.620 to 0.900 38".split()
    assert len(lines) == 3
