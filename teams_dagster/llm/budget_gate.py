"""Reservations: the most that an attempt can cost is reserved before it is sent.

A query that does not fit into what is left waits for attempts under way to settle for less than they reserved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from teams_dagster.core.protocol import ModelIdentity, Request
from teams_dagster.ledger.budgets import BudgetExhausted, Exhausted, Limit, Reservation
from teams_dagster.pricing.prices import PriceTable

MESSAGE_OVERHEAD = 32
"""Tokens that a chat template adds around one message, at most."""


class PriceUnknown(Exception):
    """Dollars are bounded, and a model has no known price."""

    def __init__(self, identity: ModelIdentity) -> None:
        super().__init__(
            f"a budget bounds dollars, and the price of {identity} is not known: state it in the file that TEAMS_PRICES"
            " names, or bound queries or tokens instead (TEAMS_BUDGET_QUERIES, TEAMS_BUDGET_TOKENS)"
        )


def prompt_bound(request: Request) -> int:
    """No tokenizer makes more tokens of a prompt: one for each byte of UTF-8, and what surrounds the messages."""
    return sum(len(message.content.encode()) + MESSAGE_OVERHEAD for message in request.messages)


def reserve(
    request: Request, identity: ModelIdentity, prices: PriceTable, limits: tuple[Limit, ...], *, batch: bool = False
) -> Reservation:
    """What to reserve for one attempt. Raises PriceUnknown where dollars are bounded and cannot be counted."""
    prompt, completion = prompt_bound(request), request.sampling.max_tokens
    nano_usd = prices.bound(identity, prompt, completion, batch=batch)
    if nano_usd is None and any(limit.budget.nano_usd is not None for limit in limits):
        raise PriceUnknown(identity)
    return Reservation(limits, prompt + completion, nano_usd)


class BudgetGate:
    """The reservations that an engine holds, and the queries for which there was none."""

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
