from __future__ import annotations

from teams_dagster.policy.baselines import baseline_names
from teams_dagster.policy.comparison.plan import COMPARED, GUIDES, by_algorithm, compared_algorithm
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.report.policies import EXPLAINED, FIXED, algorithm_name, grouped, in_order
from tests.report.example_report import ACCEPTED


def test_every_policy_has_a_group_and_all_but_the_fixed_ones_have_words() -> None:
    groups = dict(grouped(ACCEPTED))
    assert list(groups) == ["Trained", "Baselines", "One operation always", "Ceiling"]
    assert sorted(name for group in groups.values() for name in group) == sorted(ACCEPTED)
    known = {name for name in (*EXPLAINED, *FIXED) if compared_algorithm(name) is None}
    assert set(baseline_names()) <= set(ACCEPTED) == known


def test_what_another_algorithm_trained_stands_together_and_is_told_by_its_authors_name() -> None:
    names = list(by_algorithm(TrainingConfig(), COMPARED, GUIDES))
    assert grouped(["uniform", *reversed(names)]) == [
        ("Trained by other algorithms", names),
        ("Baselines", ["uniform"]),
    ]
    assert EXPLAINED["trained_by_d2lols_under_look_ahead"].startswith("trained by D2LOLS as it ships")
    assert EXPLAINED["trained_by_d2lols_under_look_ahead"].endswith("guided by a look-ahead.")
    assert "in the form one step" in EXPLAINED["trained_by_aggrevated_one_step"]


def test_policies_are_shown_in_one_order_whatever_order_they_come_in() -> None:
    assert in_order(reversed(ACCEPTED)) == in_order(ACCEPTED)
    assert in_order(["breadth", "uniform", "uniform", "trained"]) == ["trained", "uniform", "breadth"]


def test_a_policy_that_is_not_known_stands_after_the_baselines() -> None:
    assert grouped(["mine", "uniform"]) == [("Baselines", ["uniform", "mine"])]


def test_an_algorithm_is_called_as_its_authors_call_it() -> None:
    assert algorithm_name("ppo_plus_plus") == "PPO++"
    assert algorithm_name("my_own") == "my own"
