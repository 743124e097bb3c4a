"""Progress is told by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from teams_dagster.llm.engine import Tallies
from teams_dagster.llm.progress import Progress, spent_so_far
from tests.support.virtual_time import run_in_virtual_time


class Clock:
    """Moves when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_what_is_done_kept_asked_and_paid_and_how_long_the_rest_takes():
    clock, lines = Clock(), []
    tallies = Tallies(asked=3_400, reused=210, failed=2, cost_nano_usd=420_000_000)
    progress = Progress(5_000, "answers", tallies, lines.append, clock=clock)
    for number in range(1_200):
        clock.now = 100 + 10 * (number + 1) / 1_200
        progress.done(number >= 50)
    assert lines == ["1,200 of 5,000 answers, 1,150 kept, 3,400 queries (210 reused, 2 failed), $0.42, 32 s left"]


def test_what_counts_as_several_units_is_counted_so():
    lines = []
    progress = Progress(12, "episodes", Tallies(), lines.append)
    for _ in range(2):
        progress.done(3, 6)
    progress.done(1, 0)
    progress.finish()
    assert lines == ["12 of 12 episodes, 7 kept, 0 queries, $0.00"]


def test_lines_come_by_time_and_not_by_count():
    clock, lines = Clock(), []
    progress = Progress(10_000, "answers", Tallies(), lines.append, every_s=10, clock=clock)
    for _ in range(5_000):
        progress.done()
    assert lines == []
    for _ in range(3):
        clock.now += 10
        progress.done()
    assert [line.split(" of ")[0] for line in lines] == ["5,001", "5,002", "5,003"]


def test_the_time_left_follows_the_present_rate():
    """5,000 reused answers in a moment, then one a second: the rest is not done in a moment."""
    clock, lines = Clock(), []
    progress = Progress(10_000, "answers", Tallies(), lines.append, every_s=10, clock=clock)
    for _ in range(5_000):
        progress.done()
    for _ in range(300):
        clock.now += 1
        progress.done()
    assert lines[-1].endswith("78 min left")


@pytest.mark.parametrize(
    ("done", "seconds", "left"),
    [(900, 10, "1 s left"), (500, 100, "100 s left"), (500, 200, "3 min left"), (60, 600, "2 h 37 min left")],
)
def test_durations_are_for_people(done: int, seconds: int, left: str):
    clock, lines = Clock(), []
    progress = Progress(1_000, "answers", Tallies(), lines.append, clock=clock)
    for _ in range(done - 1):
        progress.done()
    clock.now += seconds
    progress.done()
    assert lines[-1].endswith(f", {left}")


def test_the_last_line_is_told_once_and_has_no_time_left():
    clock, lines = Clock(), []
    progress = Progress(2, "seeds", Tallies(), lines.append, clock=clock, kept="instructions accepted")
    progress.done(3)
    progress.done(4)
    progress.finish()
    progress.finish()
    assert lines == ["2 of 2 seeds, 7 instructions accepted, 0 queries, $0.00"]


def test_a_total_that_is_not_known_is_not_told():
    lines: list[str] = []
    progress = Progress(None, "rows", Tallies(asked=2), lines.append)
    progress.done()
    progress.done(False)
    progress.finish()
    assert lines == ["2 rows, 1 kept, 2 queries, $0.00"]


def test_dollars_say_how_much_of_them_is_not_known():
    assert (
        spent_so_far(Tallies(asked=5, cost_nano_usd=1_200, unpriced=3)) == "5 queries, $0.0000012 + 3 without a price"
    )


def test_a_loop_that_waits_for_its_first_result_is_heard_of():
    lines: list[str] = []
    tallies = Tallies()

    async def work(clock: Callable[[], float]) -> None:
        async with Progress(10, "seeds", tallies, lines.append, every_s=10, clock=clock) as progress:
            for _ in range(25):
                await asyncio.sleep(1)
                tallies.asked += 4
            progress.done()

    run_in_virtual_time(work)
    assert lines == [
        "0 of 10 seeds, 0 kept, 36 queries, $0.00, time left unknown",
        "0 of 10 seeds, 0 kept, 76 queries, $0.00, time left unknown",
        "1 of 10 seeds, 1 kept, 100 queries, $0.00",
    ]


def test_what_was_done_is_told_when_the_loop_breaks():
    lines: list[str] = []

    async def work(clock: Callable[[], float]) -> None:
        async with Progress(10, "seeds", Tallies(), lines.append, clock=clock) as progress:
            progress.done()
            raise RuntimeError("the budget is used up")

    with pytest.raises(RuntimeError, match="used up"):
        run_in_virtual_time(work)
    assert lines == ["1 of 10 seeds, 1 kept, 0 queries, $0.00"]


def test_a_line_says_what_one_that_is_kept_cost_whoever_paid_for_it_first():
    clock, lines = Clock(), []
    tallies = Tallies()
    progress = Progress(4, "answers", tallies, lines.append, clock=clock, each="a kept pair", paid_before=6_000_000)
    tallies.add(Tallies(asked=4, reused=1, cost_nano_usd=3_000_000, reused_nano_usd=1_000_000))
    for kept in (True, True, False, False):
        progress.done(kept)
    progress.finish()
    assert lines == ["4 of 4 answers, 2 kept, 4 queries (1 reused), $0.0030, $0.0050 a kept pair"]


def test_what_was_paid_before_and_is_not_known_is_not_taken_for_nothing():
    lines: list[str] = []
    tallies = Tallies()
    progress = Progress(1, "answers", tallies, lines.append, each="a kept pair", paid_before=None)
    tallies.add(Tallies(asked=1, cost_nano_usd=3_000_000))
    progress.done()
    progress.finish()
    assert lines == ["1 of 1 answers, 1 kept, 1 queries, $0.0030"]


def test_reused_answers_without_a_price_are_said():
    tallies = Tallies(asked=4, reused=3, reused_unpriced=2, failed=1)
    assert spent_so_far(tallies).startswith("4 queries (3 reused, 2 of them without a price, 1 failed), ")


@pytest.mark.parametrize(
    ("kept", "tallies"),
    [
        (0, Tallies(cost_nano_usd=5)),
        (1, Tallies()),
        (1, Tallies(unpriced=1)),
        (1, Tallies(cost_nano_usd=5, reused_unpriced=1)),
    ],
)
def test_without_a_kept_one_or_a_known_cost_nothing_is_said_of_it(kept: int, tallies: Tallies):
    lines: list[str] = []
    so_far = Tallies()
    progress = Progress(1, "answers", so_far, lines.append, each="a kept pair")
    so_far.add(tallies)
    progress.done(kept)
    progress.finish()
    assert "a kept pair" not in lines[-1]
