"""The page of the splits: the stricter control and the nearest rule count, and a goal is a size and an interval."""

from __future__ import annotations

from benchmarks.policy.splits import ALLOWANCES, RULES, SETTINGS, VARIED, Figure, Table, page
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED, UNREADING
from teams_dagster.policy.comparison.scores import HEADLINE


def figures(*, reading: tuple[float, float], times: tuple[float, float], splits: int = 5) -> list[Figure]:
    """Of splits that are all alike: mean and lower end of the gain by reading, and of the ratio to the table."""
    found = []
    for number in range(splits):
        for queries in ALLOWANCES:
            rows = [
                *((policy, HEADLINE, 0.3, 0.2) for policy in (TRAINED, VARIED, UNIFORM)),
                *((policy, f"{HEADLINE}_over_uniform", 1.3, 1.2) for policy in (TRAINED, VARIED)),
                *((TRAINED, f"{metric}_share_of_gap", 0.6, 0.5) for metric in ("accepted_per_query", HEADLINE)),
                *((TRAINED, f"accepted_per_query_minus_{name}", 0.01, -0.01) for name in UNREADING),
                (TRAINED, f"{HEADLINE}_minus_{UNREADING[0]}", 0.5, 0.4),
                (TRAINED, f"{HEADLINE}_minus_{UNREADING[1]}", *reading),
                (TRAINED, f"{HEADLINE}_over_{RULES[0]}", *times),
                (TRAINED, f"{HEADLINE}_over_{RULES[1]}", 2.0, 1.9),
            ]
            found += [Figure(number, queries, *row[:2], row[2], row[3], 1.0) for row in rows]
    return found


def test_the_stricter_control_and_the_nearest_rule_are_those_over_which_least_is_certain() -> None:
    table = Table(figures(reading=(0.03, 0.01), times=(1.2, 1.1)))
    assert table.stricter(0, 24)[0] == UNREADING[1]
    assert table.nearest(0, 24)[0] == RULES[0]


def test_what_is_clear_and_large_enough_on_every_split_is_reached() -> None:
    told = page(Table(figures(reading=(0.03, 0.01), times=(1.2, 1.1))), 3)
    assert "**not reached**" not in told.split("Reading, wanted")[1].split("Of the way")[0]


def test_what_is_clear_and_too_small_is_not_reached() -> None:
    told = page(Table(figures(reading=(0.01, 0.005), times=(1.05, 1.01))), 3)
    assert "so on 0 of 5, clear of zero on 5: **not reached**" in told
    assert "so on 0 of 5, clear of 1 on 5: **not reached**" in told


def test_what_fewer_than_five_splits_allow_is_neither_reached_nor_missed() -> None:
    told = page(Table(figures(reading=(0.03, 0.01), times=(1.2, 1.1), splits=2)), 3)
    assert ": reached" not in told
    assert "open, 2 of 5 splits were measured" in told


def test_what_two_splits_have_missed_four_of_five_cannot_reach() -> None:
    told = page(Table(figures(reading=(0.01, 0.005), times=(1.2, 1.1), splits=2)), 3)
    assert "so on 0 of 2, clear of zero on 2: **not reached**" in told


def test_every_policy_that_is_trained_differs_from_the_deployed_one_in_one_setting() -> None:
    assert SETTINGS[TRAINED] == {}
    assert all(len(settings) == 1 for name, settings in SETTINGS.items() if name != TRAINED)
