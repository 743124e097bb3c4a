"""Many calls under way, results in order, memory bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 16
"""How many queries are begun for each that may be under way: so many are answered while one is asked again."""


async def in_order(
    call: Callable[[Item], Coroutine[Any, Any, Result]], items: Iterable[Item], width: int
) -> AsyncGenerator[Result, None]:
    """Yield `call(item)` for each item in the items' order, with at most `width` begun and not yet handed over.

    No barrier: a call begins as soon as there is room. Items are taken lazily, so there may be more than memory
    holds. The first error ends the iteration; it, or a reader that stops, cancels whatever is under way.
    """
    waiting = iter(items)
    begun: deque[asyncio.Task[Result]] = deque()
    try:
        while True:
            begun.extend(asyncio.create_task(call(item)) for item in islice(waiting, width - len(begun)))
            if not begun:
                return
            yield await begun[0]
            begun.popleft()
    finally:
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
