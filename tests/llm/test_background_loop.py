"""A resource in a loop of its own, used by code without one."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from teams_dagster.llm.background_loop import BackgroundEventLoop
from tests.support.processes import until


def opening(log, *, entering=None, leaving=None):
    @asynccontextmanager
    async def opened():
        if entering:
            raise entering
        async with asyncio.TaskGroup() as group:  # may only be left by the task that entered it
            background = group.create_task(tick(log))
            yield "resource"
            background.cancel()
        log.append("left")
        if leaving:
            raise leaving

    return opened()


async def tick(log):
    while True:
        log.append("tick")
        await asyncio.sleep(0.001)


def test_work_runs_in_the_loop_of_the_resource_and_background_work_goes_on_between():
    log, threads = [], set()

    async def work(value):
        threads.add(threading.current_thread().name)
        return value

    hosted = BackgroundEventLoop(opening(log))
    assert hosted.resource == "resource"
    assert [hosted.run(work(1)), hosted.run(work(2))] == [1, 2]
    assert threads == {"hosted-loop"}
    begun = log.count("tick")
    until(lambda: log.count("tick") > begun)
    hosted.close()
    hosted.close()
    assert log[-1] == "left"


def test_it_may_be_used_where_a_loop_is_running():
    async def notebook():
        hosted = BackgroundEventLoop(opening([]))
        try:
            return hosted.run(asyncio.sleep(0, "done"))
        finally:
            hosted.close()

    assert asyncio.run(notebook()) == "done"


def test_what_fails_is_raised_where_it_is_waited_for():
    with pytest.raises(OSError, match="no door"):
        BackgroundEventLoop(opening([], entering=OSError("no door")))

    async def fail():
        raise LookupError("not here")

    hosted = BackgroundEventLoop(opening([], leaving=OSError("stuck")))
    with pytest.raises(LookupError, match="not here"):
        hosted.run(fail())
    with pytest.raises(OSError, match="stuck"):
        hosted.close()
    with pytest.raises(RuntimeError, match="closed"):
        hosted.run(fail())


def test_a_caller_that_is_interrupted_cancels_its_work(monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    async def long():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def interrupted(*_):
        begun.wait(10)
        raise KeyboardInterrupt

    hosted = BackgroundEventLoop(opening([]))
    with monkeypatch.context() as patched:
        patched.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hosted.run(long())
    assert ended.wait(10)
    hosted.close()
