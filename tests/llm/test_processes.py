"""Work in processes of its own: what it tells arrives, its errors are raised as they were, nothing outlives a step."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.llm import loop
from teams_dagster.llm.child_process import ProcessFailed, ProcessLost
from teams_dagster.llm.processes import in_processes
from tests.support.processes import (
    Dry,
    die,
    ends,
    fail_strangely,
    ignore_interrupts,
    run_dry,
    say_thrice,
    wait_forever,
)

ROOT = Path(__file__).parent.parent.parent


def told(work: Any, jobs: list[Any]) -> list[Any]:
    heard: list[Any] = []
    loop.run(in_processes(work, jobs, heard.append))
    return heard


@contextmanager
def waiting(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A program whose two processes wait forever."""
    command = [sys.executable, "-c", "from tests.support.processes import main; main()", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "begun\n"
            yield program
        finally:
            program.kill()


def test_each_job_has_a_process_and_what_it_tells_arrives_in_its_order():
    heard = told(say_thrice, [1, 2])
    for job in (1, 2):
        assert [number for other, number, _ in heard if other == job] == [0, 1, 2]
    assert len({process for *_, process in heard} - {os.getpid()}) == 2


def test_it_works_in_a_thread_too():
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.extend(told(say_thrice, [1])))
    thread.start()
    thread.join()
    assert len(heard) == 3


def test_an_error_is_raised_as_it_was():
    with pytest.raises(Dry) as raised:
        told(run_dry, ["dry"])
    here = Dry(3)
    assert (str(raised.value), vars(raised.value)) == (str(here), vars(here))
    assert "in run_dry" in str(raised.value.__cause__)


def test_a_caller_that_is_cancelled_waits_for_what_its_processes_finish(tmp_path: Path):
    async def cancelled() -> None:
        begun = asyncio.Event()
        waits = asyncio.create_task(in_processes(wait_forever, [tmp_path], lambda _: begun.set()))
        await begun.wait()
        waits.cancel()
        await asyncio.wait([waits])

    loop.run(cancelled())
    assert [note.read_text() for note in tmp_path.iterdir()] == ["finished"]


def test_the_first_error_ends_the_others(tmp_path: Path):
    began = time.monotonic()
    with pytest.raises(Dry):
        told(run_dry, [str(tmp_path), "dry"])
    assert time.monotonic() - began < 30
    assert all(ends(int(note.name)) for note in tmp_path.iterdir())


def test_an_error_that_cannot_be_sent_keeps_its_words():
    with pytest.raises(ProcessFailed, match=r"ValueError: .*no way out"):
        told(fail_strangely, [None])


def test_a_process_that_was_killed_is_missed():
    with pytest.raises(ProcessLost, match="SIGKILL"):
        told(die, [None])


def test_what_a_terminal_interrupts_is_the_parent():
    assert told(ignore_interrupts, [None]) == ["still here"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_is_stopped_waits_for_what_its_processes_finish(tmp_path: Path, number: signal.Signals):
    with waiting(tmp_path) as program:
        program.send_signal(number)
        assert program.wait(10) != 0
        assert [note.read_text() for note in tmp_path.iterdir()] == ["finished", "finished"]
        assert all(ends(int(note.name), within_s=0.1) for note in tmp_path.iterdir())


def test_a_parent_that_is_killed_takes_its_processes_along(tmp_path: Path):
    with waiting(tmp_path) as program:
        program.kill()
        assert all(ends(int(note.name)) for note in tmp_path.iterdir())
        assert [note.read_text() for note in tmp_path.iterdir()] == ["begun", "begun"]
