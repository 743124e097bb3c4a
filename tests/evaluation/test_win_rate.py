"""Win rates on verdicts that were planted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.evaluation.judging import Preference
from teams_dagster.evaluation.win_rate import Compared, JudgedPair, WinRate, win_rate

COMPARED = Compared("lora", "base", 40, "a judge", "l1", "d1")
FIRST, SECOND, TIE, UNCLEAR = Preference
OPPOSITE = {FIRST: SECOND, SECOND: FIRST, TIE: TIE, UNCLEAR: UNCLEAR}

lengths = st.integers(0, 5_000)
pairs = st.builds(
    JudgedPair,
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.sampled_from(Preference),
    st.sampled_from(Preference),
    lengths,
    lengths,
)


def pair(
    first: Preference, second: Preference | None = None, seed: str = "s", length: int = 9, other: int = 9
) -> JudgedPair:
    """By default one whose verdict is the same whoever stands first."""
    return JudgedPair(seed, first, OPPOSITE[first] if second is None else second, length, other)


def swapped(one: JudgedPair) -> JudgedPair:
    """The same pair from the other model's side."""
    return JudgedPair(one.seed_id, one.shown_second, one.shown_first, one.other_length, one.length)


def rate(found: Sequence[JudgedPair], seed: int = 0, replicates: int = 200) -> WinRate:
    return win_rate(found, COMPARED, "test", seed, replicates=replicates)


@pytest.mark.parametrize(
    ("first", "second", "score"),
    [
        (FIRST, SECOND, 1.0),
        (SECOND, FIRST, 0.0),
        (TIE, TIE, 0.5),
        (FIRST, TIE, 0.75),
        (TIE, FIRST, 0.25),
        (FIRST, FIRST, 0.5),
        (SECOND, SECOND, 0.5),
        (UNCLEAR, SECOND, 0.75),
        (UNCLEAR, UNCLEAR, 0.5),
    ],
)
def test_a_pair_scores_the_mean_of_its_verdicts(first: Preference, second: Preference, score: float) -> None:
    assert pair(first, second).score == score


def test_wins_ties_losses_and_what_the_judge_could_not_say_are_counted() -> None:
    found = rate(
        [
            pair(FIRST, seed="a"),
            pair(FIRST, TIE, seed="b"),
            pair(SECOND, seed="c"),
            pair(TIE, seed="d"),
            pair(FIRST, FIRST, seed="e"),
            pair(UNCLEAR, UNCLEAR, seed="f"),
        ]
    )
    assert (found.pairs, found.wins, found.ties, found.losses) == (6, 2, 3, 1)
    assert (found.unclear, found.contradictory) == (2, 1)
    assert found.win_rate == pytest.approx((1 + 0.75 + 0 + 0.5 * 3) / 6)


@pytest.mark.parametrize(
    ("verdicts", "share"),
    [([pair(FIRST, FIRST)], 1.0), ([pair(SECOND, SECOND)], 0.0), ([pair(FIRST)], 0.5), ([pair(TIE)], None)],
)
def test_the_share_of_the_first_place_shows_position_bias(verdicts: list[JudgedPair], share: float | None) -> None:
    assert rate(verdicts).first_place_share == share


@given(st.lists(pairs, min_size=1, max_size=12))
def test_from_the_other_side_every_rate_is_one_minus_itself(found: list[JudgedPair]) -> None:
    one, other = rate(found, replicates=20), rate([swapped(p) for p in found], replicates=20)
    assert other.win_rate == pytest.approx(1 - one.win_rate)
    assert (other.wins, other.losses, other.ties) == (one.losses, one.wins, one.ties)
    assert other.first_place_share == one.first_place_share
    assert (other.ci_low, other.ci_high) == pytest.approx((1 - one.ci_high, 1 - one.ci_low))
    if one.length_controlled is None or one.lc_low is None or one.lc_high is None:
        assert (other.length_controlled, other.lc_low, other.lc_high) == (None, None, None)
    else:
        assert other.length_controlled == pytest.approx(1 - one.length_controlled, abs=1e-6)
        assert (other.lc_low, other.lc_high) == pytest.approx((1 - one.lc_high, 1 - one.lc_low), abs=1e-6)


@given(st.lists(pairs, min_size=1, max_size=12))
def test_a_set_with_its_own_mirror_image_is_even(found: list[JudgedPair]) -> None:
    even = rate([*found, *map(swapped, found)], replicates=5)
    assert even.win_rate == pytest.approx(0.5)
    assert even.length_controlled == pytest.approx(0.5, abs=1e-7)


@given(st.lists(pairs, min_size=1, max_size=12))
def test_an_interval_holds_its_rate_and_stays_between_0_and_1(found: list[JudgedPair]) -> None:
    one = rate(found, replicates=200)
    assert 0 <= one.ci_low <= one.ci_high <= 1
    if one.lc_low is not None and one.lc_high is not None:
        assert 0 <= one.lc_low <= one.lc_high <= 1
    if len({p.seed_id for p in found}) == len(found) > 4:
        assert one.ci_low <= one.win_rate <= one.ci_high


@pytest.mark.parametrize(("verdict", "low", "high"), [(FIRST, 0.83, 1.0), (SECOND, 0.0, 0.17), (TIE, 0.416, 0.584)])
def test_seeds_that_all_say_the_same_still_leave_room_for_others(verdict: Preference, low: float, high: float) -> None:
    found = rate([pair(verdict, seed=str(i)) for i in range(20)])
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), abs=0.005)


def test_where_all_say_the_same_only_wins_of_an_answer_that_is_no_longer_tell_of_equal_length() -> None:
    found = rate([pair(FIRST, seed=str(i), length=100 * (-1 if i < 4 else 1), other=0) for i in range(20)])
    assert found.lc_low == pytest.approx(0.025 ** (1 / 4), abs=0.02)
    assert found.ci_low == pytest.approx(0.025 ** (1 / 20), abs=0.005)


def test_a_hard_judge_of_length_and_one_side_always_longer_give_no_rate_at_equal_length() -> None:
    found = rate([pair(FIRST, seed=str(i), length=20 + i, other=9) for i in range(40)])
    assert (found.length_controlled, found.lc_low, found.lc_high) == (None, None, None)
    assert found.win_rate == 1


def judged_by_length(count: int, longer_by: float) -> list[JudgedPair]:
    """Answers longer by so many characters, on the mean, and a judge that looks at nothing but their length."""
    random = np.random.default_rng(0)
    found = []
    for i in range(count):
        other = int(random.integers(100, 400))
        length = max(0, other + int(random.normal(longer_by, 80)))
        prefers = random.random() < 1 / (1 + np.exp(-(length - other) / 40))
        found.append(pair(FIRST if prefers else SECOND, seed=str(i), length=length, other=other))
    return found


def test_most_of_what_a_judge_of_length_alone_gives_the_longer_is_taken_back() -> None:
    found = rate(judged_by_length(1_500, longer_by=70))
    assert found.win_rate > 0.7
    assert found.length_controlled is not None
    assert 0.5 < found.length_controlled < 0.5 + (found.win_rate - 0.5) / 2


@pytest.mark.slow
def test_intervals_cover_the_planted_rate() -> None:
    """40 seeds with two alike pairs each: an interval that took the pairs for independent would cover too seldom."""
    random, truth, times = np.random.default_rng(2), 0.65, 200
    covered = controlled = 0
    for trial in range(times):
        found = []
        for seed in range(40):
            verdict = FIRST if random.random() < truth else SECOND
            found += [
                pair(verdict, seed=str(seed), length=int(random.integers(1, 500)), other=int(random.integers(1, 500)))
                for _ in range(2)
            ]
        one = rate(found, seed=trial)
        covered += one.ci_low <= truth <= one.ci_high
        controlled += one.lc_low is not None and one.lc_high is not None and one.lc_low <= truth <= one.lc_high
    assert 0.9 <= covered / times <= 0.99
    assert 0.9 <= controlled / times <= 0.99


def test_the_same_seed_gives_the_same_interval_and_no_pairs_none() -> None:
    found = judged_by_length(30, 10)
    assert rate(found, seed=3) == rate(found, seed=3)
    assert rate(found, seed=3).ci_low != rate(found, seed=4).ci_low or rate(found, seed=3) != rate(found, seed=4)
    with pytest.raises(ValueError, match="judged in both orders"):
        rate([])
