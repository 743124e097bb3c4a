import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teams_dagster.llm.concurrency import AdaptiveLimit
from tests.support.properties import example_count
from tests.support.virtual_time import run_in_virtual_time

Clock = Callable[[], float]


class Refused(Exception):
    """The simulated server's 429."""


class Server:
    """Serves as many calls at once as its capacity; what comes on top waits in line, or is refused."""

    def __init__(self, clock: Clock, capacity: Callable[[float], int], *, refuses: bool) -> None:
        self._clock, self._capacity, self._refuses = clock, capacity, refuses
        self._busy = 0
        self._line: deque[asyncio.Future[None]] = deque()

    async def serve(self, seconds: float) -> None:
        if self._busy < self._capacity(self._clock()):
            self._busy += 1
        elif self._refuses:
            await asyncio.sleep(0.02)
            raise Refused
        else:
            turn = asyncio.get_running_loop().create_future()
            self._line.append(turn)
            await turn
        await asyncio.sleep(seconds)
        self._busy -= 1
        while self._line and self._busy < self._capacity(self._clock()):
            self._busy += 1
            self._line.popleft().set_result(None)


@dataclass
class Run:
    """What a simulated run came to."""

    seconds: float = 0.0
    limits: list[tuple[float, int]] = field(default_factory=list)
    """(when, limit) after each answer."""
    refusals: list[float] = field(default_factory=list)

    def limits_between(self, begin: float, end: float) -> list[int]:
        """Those of the answers in this part of the run, in shares of its answers."""
        many = len(self.limits)
        return [limit for _, limit in self.limits[int(begin * many) : int(end * many)]]


def simulate(
    service: Callable[[random.Random, int], tuple[str, float]],
    *,
    calls: int = 8_000,
    capacity: Callable[[float], int] = lambda _: 1_000_000,
    refuses: bool = False,
    adapts: bool = True,
    maximum: int = 200,
    client_s: float = 0.0,
    seed: int = 0,
) -> Run:
    """Ask `calls` questions; `service` gives each one's kind and seconds, `client_s` is what one costs the client."""
    draw, run = random.Random(seed), Run()

    async def main(clock: Clock) -> None:
        limit, server = AdaptiveLimit(maximum, clock=clock), Server(clock, capacity, refuses=refuses)
        client_free_at = 0.0

        async def busy() -> None:
            """The client does one thing at a time."""
            nonlocal client_free_at
            client_free_at = max(clock(), client_free_at) + client_s
            await asyncio.sleep(client_free_at - clock())

        async def ask(number: int) -> bool:
            kind, seconds = service(draw, number)
            await limit.acquire()
            try:
                began = clock()
                if client_s:
                    await busy()
                await server.serve(seconds)
                if client_s:
                    await busy()
                if adapts:
                    limit.succeeded(kind, clock() - began)
                run.limits.append((clock(), limit.limit))
                return True
            except Refused:
                run.refusals.append(clock())
                if adapts:
                    limit.overloaded()
                return False
            finally:
                limit.release()

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                answered = await ask(number)
                while not answered:
                    await asyncio.sleep(draw.uniform(0.5, 1.0))
                    answered = await ask(number)

        numbers = iter(range(calls))
        await asyncio.gather(*(work(numbers) for _ in range(maximum + 50)))
        run.seconds = clock()

    run_in_virtual_time(main)
    return run


def noisy(draw: random.Random, _: int) -> tuple[str, float]:
    return "rewrite", draw.lognormvariate(0.0, 0.5)


def tailed(draw: random.Random, _: int) -> tuple[str, float]:
    return "rewrite", 10.0 if draw.random() < 0.02 else draw.uniform(0.9, 1.1)


def changing_mix(draw: random.Random, number: int) -> tuple[str, float]:
    long = draw.random() < (0.8 if number // 1_000 % 2 else 0.2)
    return ("respond", draw.lognormvariate(2.3, 0.4)) if long else ("review", draw.lognormvariate(0.0, 0.4))


def growing(draw: random.Random, number: int) -> tuple[str, float]:
    return "rewrite", (1 + 3 * number / 8_000) * draw.lognormvariate(0.0, 0.4)


# A server that queues


@pytest.mark.parametrize("seed", range(3))
def test_before_a_server_that_queues_the_limit_settles_near_its_capacity_and_loses_no_throughput(seed: int):
    run = simulate(noisy, capacity=lambda _: 16, seed=seed)
    fixed = simulate(noisy, capacity=lambda _: 16, seed=seed, adapts=False)
    settled = run.limits_between(0.6, 1.0)
    assert 16 <= sum(settled) / len(settled) <= 48
    assert min(settled) >= 14
    assert run.seconds <= fixed.seconds / 0.95


def test_the_limit_grows_back_when_the_servers_capacity_does():
    run = simulate(noisy, calls=20_000, capacity=lambda now: 16 if now < 250 else 1_000)
    before = [limit for when, limit in run.limits if 200 < when < 250]
    after = [limit for when, limit in run.limits if when > 300]
    assert max(before) <= 64
    assert min(after[len(after) // 2 :]) == 200


def test_a_thousand_calls_are_all_sent_at_the_limit_that_the_user_asked_for():
    run = simulate(lambda draw, _: ("rewrite", draw.uniform(0.2, 0.3)), calls=1_000)
    assert {limit for _, limit in run.limits} == {200}


# A server that refuses


def test_before_a_server_that_refuses_the_limit_settles_below_its_capacity_and_few_calls_are_refused():
    run = simulate(noisy, capacity=lambda _: 16, refuses=True)
    settled = run.limits_between(0.2, 1.0)
    began = run.limits[len(run.limits) // 5][0]
    assert 11 <= sum(settled) / len(settled) <= 16
    assert sum(when > began for when in run.refusals) <= 0.01 * len(settled)


def test_the_limit_recovers_when_fewer_calls_are_refused_again():
    run = simulate(noisy, calls=20_000, capacity=lambda now: 16 if now < 200 else 100, refuses=True)
    settled = run.limits_between(0.6, 1.0)
    assert min(settled) >= 65
    assert max(settled) <= 110


def test_after_seconds_of_nothing_but_refusals_the_limit_is_back_within_minutes():
    run = simulate(
        lambda draw, _: ("rewrite", draw.uniform(1.8, 2.2)),
        calls=12_000,
        capacity=lambda now: 0 if 60 <= now < 80 else 1_000,
        refuses=True,
        maximum=64,
    )
    assert min(limit for when, limit in run.limits if 80 < when < 90) == 1
    assert min(limit for when, limit in run.limits if when > 80 + 150) >= 32


def test_the_refusals_of_one_instant_are_one_signal():
    now = 0.0
    limit = AdaptiveLimit(64, clock=lambda: now)
    limit.succeeded("rewrite", 1.0)
    for _ in range(64):
        limit.overloaded()
    assert limit.limit == 44
    now = 1.1
    limit.overloaded()
    assert limit.limit == 31


def test_the_limit_never_falls_below_one():
    now = 0.0
    limit = AdaptiveLimit(3, clock=lambda: now)
    for _ in range(50):
        now += 10
        limit.overloaded()
    assert limit.limit == 1


# No collapse


@pytest.mark.slow
@pytest.mark.parametrize("service", [noisy, tailed, changing_mix, growing])
@pytest.mark.parametrize("maximum", [64, 200])
def test_noise_outliers_mixed_kinds_and_longer_texts_cost_no_throughput(service, maximum: int):
    run = simulate(service, maximum=maximum)
    fixed = simulate(service, maximum=maximum, adapts=False)
    assert run.seconds <= fixed.seconds / 0.95
    assert min(limit for _, limit in run.limits) >= maximum // 3


@pytest.mark.parametrize("seconds", [0.001, 0.1])
def test_a_client_that_is_itself_the_bottleneck_loses_no_throughput(seconds: float):
    def fast(draw: random.Random, _: int) -> tuple[str, float]:
        return "rewrite", seconds * draw.uniform(0.8, 1.2)

    run = simulate(fast, client_s=0.001)
    fixed = simulate(fast, client_s=0.001, adapts=False)
    assert run.seconds <= fixed.seconds / 0.95


# Turns


ALL_GO_ON = None
"""Instead of a number of turns of the loop: as many as it takes until nothing is left that can go on."""

TURNS_OF_THE_LOOP = st.sampled_from([0, 1, 2, 3, ALL_GO_ON])


@settings(max_examples=example_count(80))
@given(
    maximum=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(["ask", "finish", "cancel", "overloaded"]), st.integers(0, 10), TURNS_OF_THE_LOOP),
        max_size=60,
    ),
)
@example(
    maximum=1,
    steps=[
        *[("ask", 0, ALL_GO_ON)] * 5,
        ("finish", 1, 0),
        ("finish", 2, 0),
        ("finish", 3, 0),
        ("finish", 0, ALL_GO_ON),
    ],
).via("each call that ends hands its turn to one that ends at once: five turns of the loop until all have ended")
@example(
    maximum=1,
    steps=[*[("ask", 0, ALL_GO_ON)] * 2, ("finish", 0, 1), ("cancel", 0, 0)],
).via("a call is cancelled when it has its turn and does not know it yet")
def test_turns_are_never_exceeded_never_lost_and_never_leak(
    maximum: int, steps: list[tuple[str, int, int | None]]
) -> None:
    """Whatever the order of asking, finishing, giving up and overload; at the end all had theirs."""

    async def main(_clock: Clock) -> None:
        now = 0.0
        limit = AdaptiveLimit(maximum, clock=lambda: now)
        tasks: list[asyncio.Task[None]] = []
        order: list[int] = []
        finish: dict[int, asyncio.Event] = {}

        async def call(number: int) -> None:
            await limit.acquire()
            try:
                order.append(number)
                await finish[number].wait()
            finally:
                limit.release()

        for step, which, turns in steps:
            allowed = max(limit.limit, limit.in_flight)
            live = [number for number, task in enumerate(tasks) if not task.done()]
            if step == "ask":
                finish[len(tasks)] = asyncio.Event()
                tasks.append(asyncio.create_task(call(len(tasks))))
            elif step == "overloaded":
                now += 10.0
                limit.overloaded()
            elif live:
                number = live[which % len(live)]
                _ = finish[number].set() if step == "finish" else tasks[number].cancel()
            for _turn in range(turns or 0):
                await asyncio.sleep(0)
                assert limit.in_flight <= allowed
            if turns is not ALL_GO_ON:
                continue
            await asyncio.sleep(1)  # virtual time passes only while everybody waits
            assert limit.in_flight <= allowed
            running = sum(number in order and not task.done() for number, task in enumerate(tasks))
            assert limit.in_flight == running
            waiting = sum(number not in order and not task.done() for number, task in enumerate(tasks))
            assert not waiting or limit.in_flight >= limit.limit
        for event in finish.values():
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limit.in_flight == 0
        assert order == sorted(order)

    run_in_virtual_time(main)


def test_a_turn_that_comes_together_with_a_cancellation_goes_to_the_next():
    async def main() -> None:
        limit = AdaptiveLimit(1)
        await limit.acquire()
        first, second = asyncio.create_task(limit.acquire()), asyncio.create_task(limit.acquire())
        await asyncio.sleep(0)
        limit.release()
        first.cancel()
        await asyncio.wait_for(second, 1)
        assert first.cancelled()
        assert limit.in_flight == 1

    asyncio.run(main())


def test_waiters_start_as_the_limit_grows():
    now = 0.0

    async def main() -> None:
        nonlocal now
        limit = AdaptiveLimit(16, clock=lambda: now)
        for _ in range(4):
            now += 10
            limit.overloaded()
        low = limit.limit
        tasks = [asyncio.create_task(limit.acquire()) for _ in range(16)]
        await asyncio.sleep(0)
        assert limit.in_flight == low
        for _ in range(400):
            now += 1.0
            limit.succeeded("rewrite", 1.0)
        await asyncio.sleep(0)
        assert low < limit.in_flight == limit.limit == sum(task.done() for task in tasks)
        for task in tasks:
            task.cancel()

    asyncio.run(main())


def test_a_limit_of_one_grows_again_however_much_slower_the_answers_became():
    now = 0.0
    limit = AdaptiveLimit(2, clock=lambda: now)

    async def main() -> None:
        nonlocal now
        await limit.acquire()
        for number in range(1_000):
            now += 1.0
            if number < 100:
                limit.overloaded()
            limit.succeeded("rewrite", 1.0 if number < 200 else 10.0)
            assert number != 100 or limit.limit == 1

    asyncio.run(main())
    assert limit.limit == 2


def test_one_object_serves_one_event_loop_after_another():
    limit = AdaptiveLimit(2)

    async def abandon() -> None:
        await limit.acquire()
        _ = [asyncio.create_task(limit.acquire()) for _ in range(5)]
        await asyncio.sleep(0)

    for _ in range(3):
        asyncio.run(abandon())

    async def use() -> int:
        await asyncio.gather(limit.acquire(), limit.acquire())
        limit.release()
        await asyncio.wait_for(limit.acquire(), 1)
        return limit.in_flight

    assert asyncio.run(use()) == 2


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="allow at least 1"):
        AdaptiveLimit(0)
    with pytest.raises(RuntimeError, match="without acquire"):
        AdaptiveLimit(1).release()
