"""The event loop of a step that asks: quick, and stopped without losing an answer that is being paid for."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

STOPS = (signal.SIGINT, signal.SIGTERM)

COLLECT_EVERY = 10_000
"""Objects made, beyond those freed, before garbage is looked for among the youngest."""


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """What `main` returns, run to its end in a new event loop (uvloop: a tenth to a sixth less processor time a call).

    A signal to stop cancels `main` alone: what it waits for in its `finally` blocks is still finished, calls under way
    among it. Only then the process's own handler hears of the signal.
    """
    import uvloop

    with _quick_collections(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if threading.current_thread() is not threading.main_thread():
            return runner.run(main)
        return _stoppable(runner, main)


@contextmanager
def _quick_collections() -> Generator[None]:
    """Garbage is looked for among what the block makes: most of what there is are libraries, which stay anyway.

    Looking through them again and again takes a sixth of a call's processor time; so does looking through thousands of
    queries under way each time that 700 objects came to them, which is Python's own measure.
    """
    if gc.get_freeze_count():  # somebody else's, or an outer loop's
        yield
        return
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *often[1:])
    try:
        yield
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def _stoppable(runner: asyncio.Runner, main: Coroutine[Any, Any, Result]) -> Result:
    loop = runner.get_loop()
    handlers = {number: signal.getsignal(number) for number in STOPS}
    heard: list[signal.Signals] = []
    running: list[asyncio.Task[Any]] = []

    def stop(number: signal.Signals) -> None:
        heard.append(number)
        for task in running:
            task.cancel()

    async def watched() -> Result:
        task = asyncio.current_task()
        assert task is not None, "a runner runs tasks"
        running.append(task)
        return await main

    for number in STOPS:
        loop.add_signal_handler(number, stop, number)
    try:
        return runner.run(watched())
    except asyncio.CancelledError:
        if not heard:
            raise
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    return _pass_on(heard[0], handlers[heard[0]])


def _pass_on(number: signal.Signals, handler: Any) -> Any:
    """Let the handler that was there before do what it does: as a rule it raises."""
    if callable(handler):
        frame: FrameType | None = None
        handler(number, frame)
    raise KeyboardInterrupt(f"stopped by {number.name}")
