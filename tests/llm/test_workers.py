"""Several processes divide the items of a step; results, errors and what was asked arrive as if they were one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.llm import loop
from teams_dagster.llm.child_process import ProcessLost
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.workers import WorkerPool
from tests.support.commands import ROOT
from tests.support.pooled_workers import doubling, dying_once, not_opened, opened_by_one, running_dry, writing_down
from tests.support.processes import Dry, ends, until


def brought(pool: WorkerPool[Any, Any], items: list[int], width: int = 8) -> list[Any]:
    """What the pool brings of `items`, in order."""

    async def bring() -> list[Any]:
        async with pool, aclosing(in_order(pool.call, items, width)) as results:
            return [result async for result in results]

    return loop.run(bring())


def ignore(line: str) -> None: ...


def names_in(folder: Path) -> set[str]:
    return {path.name.split()[0] for path in folder.iterdir()}


def test_results_come_in_the_items_order_whoever_brings_them():
    said: list[str] = []
    pool = WorkerPool(doubling, 2, 2, 4, said.append)
    results = brought(pool, list(range(400)))
    assert [doubled for doubled, _ in results] == [2 * item for item in range(400)]
    assert len({process for _, process in results}) == 2
    assert said == ["opened"] * 2
    assert pool.tallies.asked == 400


def test_others_are_started_when_the_first_has_brought_a_result():
    results = brought(WorkerPool(doubling, 2, 3, 1, ignore), [0])
    assert results[0][0] == 0
    said: list[str] = []
    with pytest.raises(Dry):
        brought(WorkerPool(running_dry, None, 3, 4, said.append), list(range(20)))


def test_an_error_of_an_item_is_raised_as_it_was():
    with pytest.raises(Dry) as raised:
        brought(WorkerPool(running_dry, None, 2, 4, ignore), [3])
    assert vars(raised.value) == vars(Dry(3))
    assert "in call" in str(raised.value.__cause__)


def test_a_worker_that_cannot_be_opened_says_why():
    with pytest.raises(Dry):
        brought(WorkerPool(not_opened, None, 2, 4, ignore), [1, 2])


def test_a_further_worker_that_cannot_be_opened_ends_the_step_and_is_not_done_without(tmp_path: Path):
    with pytest.raises(Dry):
        brought(WorkerPool(opened_by_one, tmp_path, 2, 2, ignore), list(range(2_000)), 4)


def test_what_a_killed_process_had_under_way_others_bring(tmp_path: Path):
    said: list[str] = []
    assert brought(WorkerPool(dying_once, tmp_path, 2, 2, said.append), list(range(300)), 4) == list(range(300))
    assert (tmp_path / "died").exists()
    assert [line for line in said if "SIGKILL" in line and "1 of 2 go on" in line] == said


def test_an_item_that_kills_two_processes_ends_the_step(tmp_path: Path):
    (tmp_path / "died").touch()
    with pytest.raises(ProcessLost, match="SIGKILL"):
        brought(WorkerPool(dying_once, tmp_path, 2, 1, ignore), [*range(200), -1], 2)


def test_a_call_that_is_cancelled_is_cancelled_where_it_is_worked_at(tmp_path: Path):
    async def cancelled() -> None:
        async with WorkerPool(writing_down, tmp_path, 1, 2, ignore) as pool:
            call = asyncio.create_task(pool.call(7))
            await asyncio.to_thread(until, (tmp_path / "begun 7").exists)
            call.cancel()
            await asyncio.to_thread(until, (tmp_path / "ended 7").exists)
            assert "closed" not in names_in(tmp_path)

    loop.run(asyncio.wait_for(cancelled(), 30))


def test_who_is_interrupted_waits_for_what_its_processes_finish(tmp_path: Path):
    async def interrupted() -> None:
        async with WorkerPool(writing_down, tmp_path, 2, 2, ignore) as pool:
            await pool.call(0)
            call = asyncio.create_task(pool.call(7))
            await asyncio.to_thread(until, (tmp_path / "begun 7").exists)
            calls.append(call)
            raise KeyError

    calls: list[asyncio.Task[int]] = []
    with pytest.raises(KeyError):
        loop.run(asyncio.wait_for(interrupted(), 30))
    assert isinstance(calls[0].exception(), ProcessLost)
    assert (tmp_path / "ended 7").exists()
    assert "closed" in names_in(tmp_path)


def test_no_process_outlives_its_parent(tmp_path: Path):
    command = [sys.executable, "-c", "from tests.support.pooled_workers import main; main()", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        worker = int(program.stdout.readline())
        program.kill()
    assert ends(worker)
