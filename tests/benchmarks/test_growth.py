"""The law that a cost follows, and what is said to break first."""

from __future__ import annotations

import pytest

from benchmarks.growth.measure import Grown
from benchmarks.growth.report import exponent, page
from benchmarks.policy.process import Cost


def grown(size: int, cpu_s: float, peak_mb: float) -> Grown:
    return Grown(size, 1.0, {"a step": Cost(cpu_s, cpu_s, peak_mb, 0.0)})


def test_a_law_is_the_slope_of_the_logarithms() -> None:
    assert exponent([1, 10, 100], [2, 200, 20_000]) == pytest.approx(2)


def test_the_size_at_which_memory_ends_is_named() -> None:
    told = page({"part": [grown(1_000, 1, 100), grown(2_000, 2, 200)]}, {"SQLite": []}, {}, "today", 1)
    assert (
        "the memory of a step, which passes 1,536 MB at about 15,360 on the line through 1,000 and 2,000: an extra"
        in told
    )


def test_a_step_that_takes_longer_a_row_is_named() -> None:
    told = page({"part": [grown(1_000, 1, 0), grown(2_000, 3, 0)]}, {"SQLite": []}, {}, "today", 1)
    assert "a step takes 1.50 times as long a row from 1,000 to 2,000" in told


def test_one_size_says_nothing_of_growth() -> None:
    told = page({"part": [grown(1_000, 1, 0)]}, {"SQLite": []}, {}, "today", 1)
    assert "Measured at one size." in told
    assert "from 1,000 to 1,000" not in told
