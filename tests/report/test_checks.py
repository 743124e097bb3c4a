from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.report.checks import CheckOutcome, Result, check_lines, checks_json, first_line, summary_line

OUTCOMES = [
    CheckOutcome("seeds", "are_there", Result.PASSED, "240 seeds"),
    CheckOutcome("dataset", "is_whole", Result.FAILED, "cut: train.parquet\nand others", details="examples: []"),
    CheckOutcome("models", "answer", Result.NOT_RUN, "models has no output"),
]


def test_the_table_has_a_line_for_each_check_and_of_its_finding_the_first() -> None:
    assert check_lines(OUTCOMES) == [
        "asset    check      result   found",
        "seeds    are_there  passed   240 seeds",
        "dataset  is_whole   failed   cut: train.parquet",
        "models   answer     not run  models has no output",
    ]


def test_the_summary_counts_every_result() -> None:
    assert summary_line(OUTCOMES) == "3 checks: 1 passed, 0 warnings, 1 failed, 1 not run"


def test_a_long_finding_says_how_much_is_missing() -> None:
    assert first_line("x" * 1_200) == "x" * 200 + " [... 1,000 more characters]"


@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_no_text_controls_the_terminal_or_breaks_the_table(text: str) -> None:
    header, row = check_lines([CheckOutcome("asset", "check", Result.WARNING, text)])
    assert header.startswith("asset")
    assert {unicodedata.category(character) for character in row}.isdisjoint({"Cc", "Cs"})


@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_json_holds_any_text_in_plain_ascii(text: str) -> None:
    shown = checks_json([CheckOutcome("asset", "check", Result.FAILED, text)], "run-1")
    assert shown.replace("\n", "").isascii()
    assert shown.replace("\n", "").isprintable()
    found = json.loads(shown)
    assert found["checks"][0]["finding"] == text
    assert found["counts"] == {"passed": 0, "warning": 0, "failed": 1, "not run": 0}
