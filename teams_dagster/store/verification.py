"""What a verification found: rows that agree, the first and further differences, and what could not be verified."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 1e-6
"""Probabilities and rewards are computed again on another machine: they agree within this. All else is exact."""

LATER_COLUMNS = frozenset({"chosen_by", "proposed", "guide_request_id", "unread_request_id", "guidance_queries"})
"""Columns of `transitions` that files written before guides were asked do not have."""

KEPT = 1_000
"""Differences that are kept with their values; of more, only the number."""


@dataclass(frozen=True)
class Difference:
    """A stored field that is not what it should be."""

    table: str
    row_id: str
    column: str
    stored: Any
    found: Any
    source: str = "the ledger's answers give"
    """What says otherwise."""

    def __str__(self) -> str:
        return (
            f"{self.table} {self.row_id}: {self.column} is stored as {self.stored!r}, and {self.source} {self.found!r}"
        )


@dataclass
class Verification:
    """What was found. `not_verified` counts rows by the reason why they could not be verified."""

    verified: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    """The first ones."""
    not_verified: dict[str, int] = field(default_factory=dict)

    def compare(self, table: str, row_id: str, stored: Mapping[str, Any], replayed: Mapping[str, Any]) -> None:
        """Compare one row, column by column; columns that tables did not have yet when it was written are left out."""
        found = [
            Difference(table, row_id, column, stored.get(column), value)
            for column, value in replayed.items()
            if not (column in LATER_COLUMNS and column not in stored) and not _agree(stored.get(column), value)
        ]
        for difference in found:
            self.differ(difference)
        self.verified += not found

    def differ(self, difference: Difference) -> None:
        """Count a difference, and keep it while there is room."""
        self.differing += 1
        if len(self.differences) < KEPT:
            self.differences.append(difference)

    def skip(self, reason: str, rows: int = 1) -> None:
        """Count rows that could not be verified."""
        self.not_verified[reason] = self.not_verified.get(reason, 0) + rows


def _agree(stored: Any, replayed: Any) -> bool:
    if isinstance(stored, float) and isinstance(replayed, float):
        return math.isclose(stored, replayed, rel_tol=0, abs_tol=TOLERANCE)
    return stored == replayed
