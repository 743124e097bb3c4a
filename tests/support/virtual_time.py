"""An event loop whose time passes only while everybody waits: hours of asyncio in milliseconds, always the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TICK_S = 1e-7
"""What one turn of the loop takes: a clock that stands still would let timers that round down spin for ever."""


class _NothingToWaitFor(selectors.SelectSelector):
    """Where a selector would sleep, time moves on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for nothing: a lost wake-up")
        self.now += max(timeout, TICK_S)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._nothing = _NothingToWaitFor()
        super().__init__(self._nothing)

    def time(self) -> float:
        return self._nothing.now


def run_in_virtual_time(main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """The result of `main(clock)`, run in a loop of virtual time that `clock` reads. Raises on a dead end."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        loop = runner.get_loop()
        return runner.run(main(loop.time))
