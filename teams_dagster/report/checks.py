"""What asset checks found: plain values in, a table, JSON or JUnit XML (which every CI system reads) out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import cast

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from teams_dagster.core.text import shorten, visible

LONGEST_FINDING = 200
"""Characters of a finding in the table."""


class Result(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class CheckOutcome:
    """One check of one asset. Its texts can hold anything that is in the data."""

    asset: str
    check: str
    result: Result
    finding: str
    """What was found, or why it was not run or could not be executed."""
    seconds: float = 0.0
    details: str = ""
    """What else was recorded, such as examples or where the check broke."""


def check_lines(outcomes: Sequence[CheckOutcome]) -> list[str]:
    """A table of the outcomes, safe in a terminal."""
    rows = [("asset", "check", "result", "found")]
    rows += [(o.asset, o.check, o.result, first_line(o.finding)) for o in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join((*map(str.ljust, row, widths), row[3])).rstrip() for row in rows]


def counts(outcomes: Sequence[CheckOutcome]) -> dict[str, int]:
    """How many checks came to each result, those that none came to included."""
    found = Counter(outcome.result for outcome in outcomes)
    return {result.value: found[result] for result in Result}


def summary_line(outcomes: Sequence[CheckOutcome]) -> str:
    """`25 checks: 22 passed, 2 warnings, 0 failed, 1 not run`."""
    found = counts(outcomes)
    warnings = "warning" if found[Result.WARNING] == 1 else "warnings"
    return (
        f"{len(outcomes)} checks: {found[Result.PASSED]} passed, {found[Result.WARNING]} {warnings},"
        f" {found[Result.FAILED]} failed, {found[Result.NOT_RUN]} not run"
    )


def checks_json(outcomes: Sequence[CheckOutcome], run_id: str) -> str:
    """The same as one JSON object in plain ASCII, so that no text in it can control a terminal."""
    content = {"run_id": run_id, "counts": counts(outcomes), "checks": [asdict(outcome) for outcome in outcomes]}
    return json.dumps(content, indent=1)


def first_line(text: str) -> str:
    """The first line of `text` that says something, safe to show, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return shorten(visible(line).replace("\t", " "), LONGEST_FINDING)


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
    return cast(bytes, report.tostring())


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
