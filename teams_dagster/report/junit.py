"""Asset checks as JUnit XML, which every CI system reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from teams_dagster.core.text import shorten, visible
from teams_dagster.report.checks import CheckOutcome, Result, first_line

LONGEST_TEXT = 10_000
"""Characters of what one check found."""


def junit_xml(outcomes: Sequence[CheckOutcome], failing: Collection[Result]) -> bytes:
    """A test case for each check, its class the asset. Results in `failing` are failures.

    A warning that is none passes and says so in its output; a check that was not run is skipped. Characters that XML
    cannot hold are named, as `[U+0000]`.
    """
    suite = TestSuite("teams checks")
    suite.add_testcases([_case(outcome, failing) for outcome in outcomes])
    report = JUnitXml()
    report.add_testsuite(suite)
    report.update_statistics()
    return report.tostring()


def _case(outcome: CheckOutcome, failing: Collection[Result]) -> TestCase:
    case = TestCase(outcome.check, outcome.asset, round(outcome.seconds, 3))
    message = first_line(outcome.finding)
    if outcome.result in failing:
        failure = Failure(message, outcome.result)
        failure.text = _text(outcome)
        case.result = [failure]
    elif outcome.result is Result.NOT_RUN:
        case.result = [Skipped(message)]
    elif outcome.result is Result.WARNING:
        case.system_out = f"warning: {_text(outcome)}"
    return case


def _text(outcome: CheckOutcome) -> str:
    parts = (outcome.finding, outcome.details)
    return shorten(visible("\n".join(part for part in parts if part)), LONGEST_TEXT)
