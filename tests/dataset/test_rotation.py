"""The seeds of a generation where each has its turn only every few weeks."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from teams_dagster.dataset.rotation import NoSeedHasItsTurn, seeds_in_turn

SEEDS = [f"seed-{number}" for number in range(60)]


def week(number: int) -> str:
    return (date(2026, 11, 2) + timedelta(weeks=number)).isoformat()


def shares(weeks: int, first: int = 0, seeds: list[str] = SEEDS) -> list[list[str]]:
    return [seeds_in_turn(seeds, weeks, 17, week(first + number)) for number in range(weeks)]


def test_without_a_rotation_every_generation_has_every_seed() -> None:
    assert shares(1) == [SEEDS]


@pytest.mark.parametrize("first", [0, 3, 9])
def test_generations_in_a_row_have_every_seed_exactly_once(first: int) -> None:
    assert sorted(seed for share in shares(4, first) for seed in share) == sorted(SEEDS)


def test_a_turn_comes_again_after_the_rotation() -> None:
    assert shares(4, 0) == shares(4, 4)


def test_a_seed_that_is_added_moves_no_other() -> None:
    for before, after in zip(shares(4), shares(4, seeds=[*SEEDS, "new"]), strict=True):
        assert [seed for seed in after if seed != "new"] == before


def test_shares_are_alike_in_size() -> None:
    assert all(8 <= len(share) <= 22 for share in shares(4))


def test_a_week_without_a_seed_says_which_setting_to_change() -> None:
    with pytest.raises(NoSeedHasItsTurn, match="TEAMS_SEED_ROTATION_WEEKS"):
        shares(3, seeds=["a", "b"])
