"""What an asset check finds, when a test calls it as a function."""

from __future__ import annotations

from typing import Any

import dagster as dg


def checked(check: dg.AssetChecksDefinition, *arguments: Any, **resources: Any) -> dg.AssetCheckResult:
    """The one result of a check that was called with these, its context or its resources."""
    result = check(*arguments, **resources)
    assert isinstance(result, dg.AssetCheckResult)
    return result
