"""Something that belongs to an event loop, for code that has none: it lives in a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

Resource = TypeVar("Resource")
Result = TypeVar("Result")


class BackgroundEventLoop(Generic[Resource]):
    """A resource that is open until `close`. Its loop runs all the while, also where the caller's thread has a loop
    (a notebook), so what the resource does in the background goes on between two calls of `run`.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Resource]) -> None:
        """Enter `opening`. It is entered and left in one task. Raises what entering raises."""
        self._opened: Future[tuple[Resource, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._host, args=(opening,), name="hosted-loop", daemon=True)
        self._thread.start()
        self.resource, self._loop, self._closing = self._opened.result()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` returns, run in the loop. A caller that is interrupted cancels it.

        Raises what `work` raises, and RuntimeError when closed.
        """
        if self._closed:
            work.close()
            raise RuntimeError("it is closed; open another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Leave the context, wait for it, and end the loop. Raises what leaving raises; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _host(self, opening: AbstractAsyncContextManager[Resource]) -> None:
        import uvloop

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(opening))
        except BaseException as error:
            if self._opened.done():
                self._error = error
            else:
                self._opened.set_exception(error)

    async def _serve(self, opening: AbstractAsyncContextManager[Resource]) -> None:
        closing = asyncio.Event()
        async with opening as resource:
            self._opened.set_result((resource, asyncio.get_running_loop(), closing))
            await closing.wait()
