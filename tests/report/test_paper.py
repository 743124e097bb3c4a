from __future__ import annotations

import pytest

from teams_dagster.evaluation.paper import PaperValue
from teams_dagster.report.paper import paper_cell


@pytest.mark.parametrize(
    ("value", "low", "high", "told"),
    [
        (17_878, None, None, "17,878"),
        (0.0573, None, None, "0.0573"),
        (0.0, None, None, "0.0000"),
        (2.5, 2.25, 2.75, "2.5000 (2.2500 to 2.7500)"),
    ],
)
def test_a_count_is_whole_and_another_number_brings_its_interval(
    value: float, low: float | None, high: float | None, told: str
) -> None:
    assert paper_cell(PaperValue("pairs", "lora", value, low, high, "somewhere")) == told


def test_what_is_not_known_is_blank() -> None:
    assert paper_cell(None) == ""
