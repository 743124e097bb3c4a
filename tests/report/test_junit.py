from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, Skipped, TestCase

from teams_dagster.report.checks import CheckOutcome, Result, junit_xml


def parsed(*outcomes: CheckOutcome, failing: frozenset[Result] = frozenset({Result.FAILED})) -> list[TestCase]:
    (suite,) = JUnitXml.fromstring(junit_xml(outcomes, failing))
    return list(suite)


def outcome(result: Result, finding: str = "something", details: str = "") -> CheckOutcome:
    return CheckOutcome("dataset", "is_whole", result, finding, 1.23456, details)


def test_a_case_is_named_by_its_check_and_its_class_by_the_asset() -> None:
    (case,) = parsed(outcome(Result.PASSED))
    assert (case.classname, case.name, case.time) == ("dataset", "is_whole", 1.235)
    assert case.is_passed
    assert case.system_out is None


def test_a_failed_check_is_a_failure_with_all_that_was_found() -> None:
    (case,) = parsed(outcome(Result.FAILED, "cut: train.parquet\nand others", details='examples: ["a"]'))
    (failure,) = case.result
    assert isinstance(failure, Failure)
    assert failure.message == "cut: train.parquet"
    assert failure.text == 'cut: train.parquet\nand others\nexamples: ["a"]'


def test_a_warning_passes_and_says_so() -> None:
    (case,) = parsed(outcome(Result.WARNING, "one call is unresolved"))
    assert case.is_passed
    assert case.system_out == "warning: one call is unresolved"


def test_a_warning_is_a_failure_where_it_is_to_fail() -> None:
    (case,) = parsed(outcome(Result.WARNING), failing=frozenset(Result))
    assert case.is_failure


def test_a_check_that_was_not_run_is_skipped_with_the_reason() -> None:
    (case,) = parsed(outcome(Result.NOT_RUN, "dataset has no output"))
    (skipped,) = case.result
    assert isinstance(skipped, Skipped)
    assert skipped.message == "dataset has no output"


def test_the_report_counts_its_cases() -> None:
    outcomes = [outcome(result) for result in Result]
    report = JUnitXml.fromstring(junit_xml(outcomes, {Result.FAILED}))
    assert (report.tests, report.failures, report.skipped, report.errors) == (4, 1, 1, 0)


@pytest.mark.parametrize("result", [Result.FAILED, Result.WARNING, Result.NOT_RUN])
@given(text=st.text(alphabet=st.characters(blacklist_categories=())))
def test_any_text_gives_a_report_that_parses_back(result: Result, text: str) -> None:
    (case,) = parsed(outcome(result, text, details=text))
    assert case.name == "is_whole"


def test_what_xml_cannot_hold_is_named_and_markup_stays_text() -> None:
    (case,) = parsed(outcome(Result.FAILED, "\x00\x1b[31m\ufffe\ud800]]></failure><b>&amp;"))
    (failure,) = case.result
    assert failure.text == "[U+0000][U+001B][31m[U+FFFE][U+D800]]]></failure><b>&amp;"
    assert failure.message == failure.text
