"""Why steps fail, and errors as they fail with."""

from __future__ import annotations

from teams_dagster.automation.runs import step_failures
from tests.support.project import Project

ADVICE = "the budget is used up: raise TEAMS_BUDGET_USD"


def caused(error: Exception, cause: Exception) -> Exception:
    """`error`, which `cause` led to."""
    error.__cause__ = cause
    return error


def why(project: Project) -> str:
    """What the one step that failed says."""
    [failure] = step_failures(project.last.get_step_failure_events())
    return failure.reason
