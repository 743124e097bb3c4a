"""Which step asks, and what it has asked so far."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self


@dataclass(frozen=True)
class CallContext:
    """Which step asks."""

    run_id: str
    asset_key: str
    partition_key: str | None = None


@dataclass
class Tallies:
    """What an engine did so far: for progress, not for accounting."""

    asked: int = 0
    reused: int = 0
    sent: int = 0
    """Attempts."""
    usable: int = 0
    """Answers whose outcome is usable, reused ones included."""
    failed: int = 0
    """Queries without an answer after every attempt."""
    cost_nano_usd: int = 0
    """Of the completions paid here whose price is known."""
    unpriced: int = 0
    """Completions paid here whose price is not known."""
    reused_nano_usd: int = 0
    """What the answers that were read from the ledger had cost, each counted once."""
    reused_unpriced: int = 0
    """Those of them whose price is not known."""
    impossible_usage: int = 0
    """Completions paid here with a number of tokens that no call can have, which is not counted."""

    def add(self, other: Tallies) -> None:
        """Count what another engine did."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def since(self, earlier: Tallies) -> Tallies:
        """What was done after these were `earlier`."""
        return Tallies(
            **{field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)}
        )

    def copy(self) -> Self:
        """How it stands now."""
        return replace(self)
