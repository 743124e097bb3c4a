"""How far a step is: done, kept, queries, dollars and the time left, told by the clock and not by the count."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from teams_dagster.core.text import about_dollars

if TYPE_CHECKING:
    from teams_dagster.llm.engine import Tallies

EVERY_S = 10.0
"""How often progress is told."""

MARKS = 30
"""How many moments the present rate is measured over; three of them pass between two lines."""


class Progress:
    """Tells a log how far a loop is. As a context manager it also tells while the loop waits for its first results.

        async with Progress(5_000, "answers", engine.tallies, log) as progress:
            async for sample in samples:
                progress.done(sample.accepted)

    prints `1,200 of 5,000 answers, 1,150 kept, 3,400 queries (210 reused, 2 failed), $0.42, 3 min left`; with
    `each="a kept pair"` also `$0.00037 a kept pair`, before the time that is left.
    """

    def __init__(
        self,
        total: int | None,
        unit: str,
        tallies: Tallies,
        log: Callable[[str], None],
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        kept: str = "kept",
        each: str | None = None,
        paid_before: int | None = 0,
    ) -> None:
        """How far `unit`s are, of `total` (None where it is not known).

        Args:
            kept: How what is kept is called.
            each: What one of those is called, where its price is told (`a kept pair`).
            paid_before: Nano-dollars that earlier steps paid for it, which its price includes; None: not known.
        """
        self._total, self._unit, self._tallies, self._log = total, unit, tallies, log
        self._every_s, self._clock, self._kept_as = every_s, clock, kept
        self._each, self._paid_before = each, None if paid_before is None else paid_before - _paid(tallies)
        self._done, self._kept = 0.0, 0
        self._told_at = clock()
        self._finished = False
        self._marks: deque[tuple[float, float]] = deque([(self._told_at, 0.0)], MARKS)
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking
        self.finish()

    def done(self, kept: bool | int = True, units: float = 1) -> None:
        """One more is done, and this many of it are kept; `units` where it counts as another number of them."""
        self._done += units
        self._kept += int(kept)
        self._tell_in_time()

    def finish(self) -> None:
        """The last line, unless it has been told."""
        if not self._finished:
            self._finished = True
            self._tell()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._tell_in_time()

    def _tell_in_time(self) -> None:
        now = self._clock()
        if now - self._marks[-1][0] >= self._every_s / 3:
            self._marks.append((now, self._done))
        if now - self._told_at >= self._every_s:
            self._told_at = now
            self._tell()

    def _tell(self) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        parts = [
            f"{round(self._done):,}{of} {self._unit}",
            f"{self._kept:,} {self._kept_as}",
            spent_so_far(self._tallies),
        ]
        parts += self._price_of_one()
        if self._total is not None and self._done < self._total and not self._finished:
            parts.append(self._time_left(self._total - self._done))
        self._log(", ".join(parts))

    def _price_of_one(self) -> list[str]:
        """`$0.0012 a kept pair`, whoever paid first; nothing where none is kept, cost anything, or lacks a price."""
        unpriced = self._tallies.unpriced or self._tallies.reused_unpriced
        if self._each is None or not self._kept or self._paid_before is None or unpriced:
            return []
        paid = self._paid_before + _paid(self._tallies)
        if not paid:
            return []
        return [f"{about_dollars(paid / self._kept)} {self._each}"]

    def _time_left(self, remaining: float) -> str:
        """At the rate of the last moments: reused answers go faster than asked ones."""
        (since, before), now = self._marks[0], self._clock()
        finished, seconds = self._done - before, now - since
        return f"{_duration(remaining * seconds / finished)} left" if finished and seconds else "time left unknown"


def _paid(tallies: Tallies) -> int:
    """Nano-dollars of all answers so far, whoever paid first."""
    return tallies.cost_nano_usd + tallies.reused_nano_usd


def spent_so_far(tallies: Tallies) -> str:
    """`3,400 queries (210 reused, 2 failed), $0.42 + 3 without a price, 3 with impossible token counts`.

    Of what was reused it is said, too, how many have no price: `210 reused, 3 of them without a price`.
    """
    reused = f"reused, {tallies.reused_unpriced:,} of them without a price" if tallies.reused_unpriced else "reused"
    aside = [f"{count:,} {what}" for count, what in ((tallies.reused, reused), (tallies.failed, "failed")) if count]
    queries = f"{tallies.asked:,} queries" + (f" ({', '.join(aside)})" if aside else "")
    unpriced = f" + {tallies.unpriced:,} without a price" if tallies.unpriced else ""
    impossible = f", {tallies.impossible_usage:,} with impossible token counts" if tallies.impossible_usage else ""
    return f"{queries}, {about_dollars(tallies.cost_nano_usd)}{unpriced}{impossible}"


def _duration(seconds: float) -> str:
    """To the minute from two minutes on."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
