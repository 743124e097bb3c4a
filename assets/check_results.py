"""What a check says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import dagster as dg

from teams_dagster.core.text import shorten, visible
from teams_dagster.store.artefact_store import ArtefactMissing

LONGEST_FINDING = 4_000
"""Characters; the metadata has more examples."""


def verdict(
    passed: bool, finding: str, *, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR, **metadata: Any
) -> dg.AssetCheckResult:
    """A result with a sentence that a person can act on. Ids and names in it may come from a file that was damaged."""
    shown = shorten(visible(finding), LONGEST_FINDING)
    return dg.AssetCheckResult(passed=passed, severity=severity, description=shown, metadata=metadata)


def warning(passed: bool, finding: str, **metadata: Any) -> dg.AssetCheckResult:
    """A result that is worth knowing and stops nothing."""
    return verdict(passed, finding, severity=dg.AssetCheckSeverity.WARN, **metadata)


def not_run(finding: str) -> dg.AssetCheckResult:
    """A check that could not look: a warning that never passes, told apart by the metadata `not_run`."""
    return warning(False, f"not run: {finding}", not_run=True)


def not_applicable(finding: str) -> dg.AssetCheckResult:
    """A check with nothing to look at in a healthy project, where nobody has anything to do.

    It passes, because Dagster shows whatever does not pass as failed; the metadata `not_run` tells it apart as well.
    """
    return warning(True, f"not run: {finding}", not_run=True)


def needs_output(check: Callable[..., dg.AssetCheckResult]) -> Callable[..., dg.AssetCheckResult]:
    """A check whose artefact does not exist, or was removed, is not run."""

    @wraps(check)
    def checked(*arguments: Any, **named: Any) -> dg.AssetCheckResult:
        try:
            return check(*arguments, **named)
        except ArtefactMissing as missing:
            return not_run(str(missing))

    return checked
