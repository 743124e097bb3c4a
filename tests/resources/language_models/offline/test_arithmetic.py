"""The calculations of the expert are right, or they are left open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.language_models.offline.arithmetic import calculate


@pytest.mark.parametrize(
    ("text", "material", "result"),
    [
        ("What is 15% of 80?", "", "12"),
        ("Convert 68 degrees Fahrenheit to Celsius.", "", "20 C"),
        ("Convert 100 C to Fahrenheit.", "", "212 F"),
        ("Solve for x: 3(x - 4) = 2x + 7.", "", "x = 19"),
        ("Solve the equation.", "10X + 5 = 10", "x = 0.5"),
        ("Divide 1,440 between three partners in the ratio 2 : 3 : 4.", "", "320, 480, 640"),
        ("Work out the median and the mean.", "5, 7, 8, 9, 11, 12, 74", "median 9, mean 18"),
        ("Convert the following measurement.", "3 ft = ___ in", "36 inches"),
        ("Compute 2^10 - 24", "", "1000"),
    ],
)
def test_it_calculates(text: str, material: str, result: str) -> None:
    found = calculate(text, material)
    assert found is not None
    assert found.result == result
    assert found.steps


@pytest.mark.parametrize(
    "text",
    [
        "What is 7 / 0?",
        "Solve 3x - 4y = 1, 2x + 3y = 12",
        "Solve x*x = 4",
        "Compute 9**9**9**9",
        "If I save 45 a week, how many weeks will it take to save 1,000?",
        "We met on 2021-03-04.",
        "Read pages 10-12.",
    ],
)
def test_what_no_rule_covers_is_left_open(text: str) -> None:
    assert calculate(text, "") is None


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(1, 99))
def test_sums_and_products_are_exact(a: int, b: int, c: int) -> None:
    found = calculate(f"What is {a} + {b} * {c}?", "")
    assert found is not None
    assert found.result == str(a + b * c)


@given(st.integers(-50, 50), st.integers(-20, 20).filter(bool), st.integers(0, 99))
def test_linear_equations_are_solved(root: int, slope: int, constant: int) -> None:
    found = calculate(f"Solve {slope}x + {constant} = {slope * root + constant}", "")
    assert found is not None
    assert found.result == f"x = {root}"
