"""A step that is stopped finishes the calls it pays for, and then stops."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from teams_dagster.llm import loop

STOPPED = """
import asyncio, os, signal
from teams_dagster.llm import loop

class Interrupted(BaseException): pass

def handler(number, frame):
    raise Interrupted

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, handler)

async def call():
    await asyncio.sleep(0.3)
    print("answer kept", flush=True)

async def step():
    paying = asyncio.create_task(call())
    try:
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.{name})
        await asyncio.sleep(30)
    finally:
        await paying

try:
    loop.run(step())
except Interrupted:
    print("interrupted by the handler of before", flush=True)
assert signal.getsignal(signal.{name}) is handler
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_calls_under_way_are_finished_before_the_interrupt_is_raised(name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    program = STOPPED.replace("{name}", name)
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["answer kept", "interrupted by the handler of before"]


def test_handlers_are_as_before_when_nothing_happened() -> None:
    before = [signal.getsignal(number) for number in loop.STOPS]
    assert loop.run(asyncio.sleep(0, "done")) == "done"
    assert [signal.getsignal(number) for number in loop.STOPS] == before


def test_threads_run_steps_too() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(loop.run(asyncio.sleep(0, os.getpid()))))
    thread.start()
    thread.join()
    assert found == [os.getpid()]


def test_libraries_are_left_out_of_collections_while_a_step_asks_and_no_longer() -> None:
    async def step() -> int:
        return gc.get_freeze_count()

    before = gc.get_freeze_count()
    assert loop.run(step()) > 10_000
    assert gc.get_freeze_count() == before


def test_queries_under_way_are_not_looked_through_with_every_few_new_ones_while_a_step_asks_and_no_longer() -> None:
    async def step() -> int:
        return gc.get_threshold()[0]

    before = gc.get_threshold()
    assert loop.run(step()) == loop.COLLECT_EVERY > before[0]
    assert gc.get_threshold() == before
