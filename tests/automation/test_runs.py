"""Why a step failed is told in the same words wherever it is told."""

from __future__ import annotations

import dagster as dg
import pytest

from teams_dagster.automation.runs import StepFailure, step_failures
from teams_dagster.ledger.database import LedgerError
from teams_dagster.llm.child_process import InAnotherProcess
from tests.support.failures import ADVICE, caused


def failure_by(instance: dg.DagsterInstance, error: Exception) -> StepFailure:
    @dg.op
    def expert_responses() -> None:
        raise error

    @dg.job
    def job() -> None:
        expert_responses()

    run = job.execute_in_process(instance=instance, raise_on_error=False)
    [failure] = step_failures(run.get_step_failure_events())
    return failure


@pytest.mark.parametrize(
    "error",
    [
        LedgerError(ADVICE),
        dg.Failure(ADVICE, allow_retries=False),
        caused(dg.Failure(ADVICE), LedgerError("the inner one")),
        caused(LedgerError(ADVICE), OSError(28, "No space left on device")),
        caused(LedgerError(ADVICE), InAnotherProcess("\nTraceback (most recent call last)")),
    ],
)
def test_the_reason_is_what_the_project_raised(instance: dg.DagsterInstance, error: Exception) -> None:
    failure = failure_by(instance, error)
    assert (failure.step, failure.reason) == ("expert_responses", ADVICE)


def test_a_builtin_error_keeps_its_name(instance: dg.DagsterInstance) -> None:
    assert failure_by(instance, KeyError("model")).reason == "KeyError: 'model'"


def test_the_errors_that_led_to_it_are_known_by_name(instance: dg.DagsterInstance) -> None:
    failure = failure_by(instance, caused(dg.Failure(ADVICE), LedgerError("the inner one")))
    assert {"Failure", "LedgerError"} <= failure.kinds
    assert "the inner one" in failure.traceback
