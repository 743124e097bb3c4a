"""Room in a budget: a question that does not fit waits for calls under way to settle for less than they reserved."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from teams_dagster.ledger.budgets import BudgetExhausted, Exhausted


class Room:
    """The reservations that an engine holds, and the questions for which there was none."""

    def __init__(self) -> None:
        self._reserved = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextmanager
    def reserved(self) -> Generator[None]:
        """A reservation is held for the block; it is settled when the block ends."""
        self._reserved += 1
        try:
            yield
        finally:
            self._reserved -= 1
            self._wake(1)

    async def wait(self, exhausted: Exhausted) -> None:
        """Until a reservation is settled. Raises BudgetExhausted when none is held: then nothing will make room.

        Who returns from here reserves, waits again, or calls `pass_on`: one is woken for each reservation settled.
        """
        if self._reserved == 0:
            self._wake(len(self._waiting))
            raise BudgetExhausted(exhausted)
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake(1)
            raise

    def pass_on(self) -> None:
        """Who was woken needs no room after all: the next one may."""
        self._wake(1)

    def _wake(self, count: int) -> None:
        while self._waiting and count:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
