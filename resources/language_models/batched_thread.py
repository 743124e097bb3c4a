"""Local weights in a thread of their own: what waits together is put to them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind
from teams_dagster.model_files import ModelFault

Work = TypeVar("Work")

Replies = Sequence[Completion | CompletionError]


@dataclass(frozen=True)
class _Waiting(Generic[Work]):
    work: Work
    future: asyncio.Future[Completion]


class BatchedThread(Generic[Work]):
    """Answers work in batches, one after another, in one thread. Used in one event loop at a time."""

    def __init__(self, name: str, load: Callable[[], Callable[[list[Work]], Replies]], *, most: int) -> None:
        """`load` is called in the thread, before the first batch, and gives what answers a batch in its order.

        Args:
            name: Of the thread, and of the weights in messages.
            load: Loads the weights; called again for the next batch where it raised.
            most: Pieces of work in a batch.
        """
        self._name, self._load, self._most = name, load, most
        self._answer: Callable[[list[Work]], Replies] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting: list[_Waiting[Work]] = []
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, work: Work) -> Completion:
        """The answer to `work`. Raises CompletionError: its own, or that the weights are UNLOADABLE."""
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, future))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        return await future

    def close(self) -> None:
        """Finish the batch under way, and let go of the weights."""
        self._thread.shutdown(wait=True)
        self._answer = None

    async def _serve(self) -> None:
        """Answer batch after batch until nobody waits."""
        await asyncio.sleep(0)  # let what is asked in this turn of the loop gather
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            wanted = [each for each in batch if not each.future.done()]
            if not wanted:
                continue
            replies = await loop.run_in_executor(self._thread, self._answered, [each.work for each in wanted])
            for each, reply in zip(wanted, replies, strict=True):
                if each.future.done():
                    continue
                if isinstance(reply, CompletionError):
                    each.future.set_exception(reply)
                else:
                    each.future.set_result(reply)

    def _answered(self, batch: list[Work]) -> Replies:
        """In the thread: load the weights if need be, and answer a batch."""
        try:
            if self._answer is None:
                self._answer = self._load()
        except Exception as error:
            said = f", {error.said}" if isinstance(error, ModelFault) else f": {' '.join(str(error).split())}"
            return [CompletionError(ErrorKind.UNLOADABLE, f"cannot load the {self._name}{said}") for _ in batch]
        try:
            return self._answer(batch)
        except Exception as error:
            return [CompletionError(ErrorKind.SERVER, f"the {self._name} failed: {error}") for _ in batch]
