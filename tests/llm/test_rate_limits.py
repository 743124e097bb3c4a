import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teams_dagster.core.protocol import RateLimitHeaders, Usage
from teams_dagster.llm.rate_limits import LONGEST_HEADER_PAUSE_S, RateLimit, TokenForecast
from tests.support.virtual_time import run_in_virtual_time

Clock = Callable[[], float]


def sent_at(rates: Callable[[Clock], RateLimit], tokens: list[int], *, after_s: float = 0.0) -> list[float]:
    """When each of the questions, all asked at once after `after_s`, was let through."""

    async def main(clock: Clock) -> list[float]:
        limit, times = rates(clock), [math.nan] * len(tokens)

        async def ask(number: int) -> None:
            await limit.wait(tokens[number])
            times[number] = clock()

        await asyncio.sleep(after_s)
        await asyncio.gather(*(ask(number) for number in range(len(tokens))))
        return times

    return run_in_virtual_time(main)


def most_in_a_minute(times: list[float], amounts: list[int]) -> int:
    """The largest sum of amounts in any half-open minute."""
    most, held, first = 0, 0, 0
    for last, time in enumerate(times):
        held += amounts[last]
        while times[first] <= time - 60 + 1e-4:
            held -= amounts[first]
            first += 1
        most = max(most, held)
    return most


@given(per_minute=st.integers(1, 300), idle_s=st.sampled_from([0.0, 3.0, 1_000.0]))
@example(per_minute=5_000, idle_s=0.0)
def test_no_minute_sees_more_requests_than_the_limit_and_hardly_fewer(per_minute: int, idle_s: float):
    asked = 2 * per_minute + 1
    times = sent_at(lambda clock: RateLimit(per_minute, clock=clock), [0] * asked, after_s=idle_s)
    assert most_in_a_minute(times, [1] * asked) <= per_minute
    assert times[-1] - idle_s <= (asked - 1) * 60 / per_minute * 1.04 + 0.1


@given(per_minute=st.integers(1_000, 500_000), tokens=st.lists(st.integers(0, 5_000), min_size=20, max_size=300))
def test_no_minute_sees_more_tokens_than_the_limit_and_one_question(per_minute: int, tokens: list[int]):
    times = sent_at(lambda clock: RateLimit(tokens_per_minute=per_minute, clock=clock), tokens)
    assert most_in_a_minute(times, tokens) <= per_minute + max(tokens) + 1
    paid = sum(min(amount, per_minute) for amount in tokens)
    assert times[-1] <= paid / per_minute * 60 * 1.04 + 0.1


def test_questions_go_in_the_order_they_came_whatever_their_size():
    tokens = [5_000 if number % 7 == 0 else 10 for number in range(50)]
    times = sent_at(lambda clock: RateLimit(600, 60_000, clock=clock), tokens)
    assert times == sorted(times)


def test_a_question_larger_than_the_limit_waits_a_minute_not_for_ever():
    times = sent_at(lambda clock: RateLimit(tokens_per_minute=1_000, clock=clock), [50_000, 50_000])
    assert times[1] == pytest.approx(120, rel=0.05)


def test_less_than_one_a_minute_is_a_rate_too():
    times = sent_at(lambda clock: RateLimit(0.5, clock=clock), [1, 1, 1])
    assert times == pytest.approx([0, 120, 240], abs=0.01)


@pytest.mark.parametrize("wrong", [0, -1, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(wrong: float):
    with pytest.raises(ValueError, match="tokens_per_minute is"):
        RateLimit(None, wrong)


def test_without_a_limit_nothing_is_waited_for():
    waiting = RateLimit().wait(1_000)
    with pytest.raises(StopIteration):  # it ran to its end without giving way once
        waiting.send(None)


def scenario(main: Callable[[RateLimit, Clock], Awaitable[None]], **limits: float) -> None:
    async def run(clock: Clock) -> None:
        await main(RateLimit(**limits, clock=clock), clock)

    run_in_virtual_time(run)


@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": 6_000.0}], ids=["no limit", "limit"])
def test_nobody_sends_during_a_pause_and_a_shorter_one_does_not_end_it(limits: dict[str, float]):
    async def main(rates: RateLimit, clock: Clock) -> None:
        rates.pause(30)
        rates.pause(5)
        assert rates.paused_s == pytest.approx(30)
        await asyncio.gather(*(rates.wait(1) for _ in range(64)))
        assert 30 <= clock() < 31
        assert rates.paused_s == 0

    scenario(main, **limits)


def test_a_pause_holds_back_those_who_wait_already():
    async def main(rates: RateLimit, clock: Clock) -> None:
        waiting = [asyncio.create_task(rates.wait(1)) for _ in range(3)]
        await asyncio.sleep(0.5)
        rates.pause(100)
        await asyncio.gather(*waiting)
        assert clock() >= 100.5

    scenario(main, requests_per_minute=60)


@pytest.mark.parametrize(
    "headers",
    [
        RateLimitHeaders(requests=0, requests_reset_s=20),
        RateLimitHeaders(tokens=0, tokens_reset_s=20),
        RateLimitHeaders(requests=0, requests_reset_s=20, tokens=0, tokens_reset_s=3),
        RateLimitHeaders(requests=9, requests_reset_s=20),
        RateLimitHeaders(tokens=999, tokens_reset_s=20),
    ],
    ids=["no request left", "no token left", "the later reset", "fewer requests than under way", "fewer tokens"],
)
def test_when_the_provider_has_less_left_than_is_under_way_nobody_sends_before_the_reset(
    headers: RateLimitHeaders,
):
    async def main(rates: RateLimit, clock: Clock) -> None:
        await rates.wait(100)
        rates.update(headers, under_way=10)
        await rates.wait(100)
        assert clock() == pytest.approx(20, abs=0.01)

    scenario(main)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        RateLimitHeaders(),
        RateLimitHeaders(requests=0),
        RateLimitHeaders(requests=10, requests_reset_s=20, tokens=1_000, tokens_reset_s=20),
    ],
    ids=["no headers", "empty", "no reset", "enough for all"],
)
def test_headers_that_ask_for_nothing_stop_nobody(headers: RateLimitHeaders | None):
    async def main(rates: RateLimit, clock: Clock) -> None:
        await rates.wait(100)
        rates.update(headers, under_way=10)
        await rates.wait(100)
        assert clock() < 0.01

    scenario(main)


def test_a_quota_by_the_day_does_not_stop_a_run_for_the_day():
    async def main(rates: RateLimit, clock: Clock) -> None:
        rates.update(RateLimitHeaders(requests=0, requests_reset_s=20 * 3600.0))
        await rates.wait(1)
        assert clock() == pytest.approx(LONGEST_HEADER_PAUSE_S, abs=0.01)

    scenario(main)


@given(st.sets(st.integers(0, 19), max_size=19))
def test_those_who_give_up_waiting_take_nobodys_turn(leaving: set[int]):
    async def main(rates: RateLimit, clock: Clock) -> None:
        tasks = [asyncio.create_task(rates.wait(1)) for _ in range(20)]
        await asyncio.sleep(0.1)
        for number in leaving:
            tasks[number].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        stayed = 20 - sum(isinstance(result, asyncio.CancelledError) for result in results)
        assert stayed >= 20 - len(leaving)
        assert clock() <= stayed * 1.01 + 1.0

    scenario(main, requests_per_minute=60)


def test_one_object_serves_one_event_loop_after_another(recwarn: pytest.WarningsRecorder):
    rates = RateLimit(60_000, 60_000_000)

    async def main() -> None:
        waiting = [asyncio.create_task(rates.wait(10)) for _ in range(1_050)]
        await asyncio.wait(waiting, timeout=0.1)  # the loop ends while some wait

    for _ in range(3):
        asyncio.run(main())
    assert not recwarn.list


def test_before_any_history_a_quarter_of_the_bytes_and_the_longest_answer_are_expected():
    assert TokenForecast().expect("rewrite", 4_000, 2_048) == 1_000 + 2_048


def test_what_was_answered_teaches_each_purpose_apart():
    forecast = TokenForecast()
    for prompt_bytes, answer in itertools.islice(itertools.cycle([(900, 190), (1_100, 210)]), 500):
        forecast.learn("rewrite", prompt_bytes, Usage(prompt_tokens=prompt_bytes // 2, completion_tokens=answer))
        forecast.learn("review", 1_000, Usage(prompt_tokens=1_000, completion_tokens=5))
    assert forecast.expect("rewrite", 2_000, 2_048) == pytest.approx(1_200, rel=0.01)
    assert forecast.expect("review", 2_000, 2_048) == pytest.approx(2_005, rel=0.01)
    assert forecast.expect("respond", 2_000, 2_048) == 2_548


def test_a_forecast_follows_texts_that_grow():
    forecast = TokenForecast()
    for answer in [100] * 500 + [400] * 500:
        forecast.learn("respond", 1_000, Usage(prompt_tokens=250, completion_tokens=answer))
    assert forecast.expect("respond", 1_000, 2_048) == pytest.approx(650, rel=0.01)


def test_an_answer_is_never_expected_to_be_longer_than_it_may_be():
    forecast = TokenForecast()
    forecast.learn("respond", 400, Usage(prompt_tokens=100, completion_tokens=1_000))
    assert forecast.expect("respond", 400, 50) == 150


def test_unreported_usage_teaches_nothing():
    forecast = TokenForecast()
    forecast.learn("respond", 400, Usage())
    assert forecast.expect("respond", 400, 50) == 150
    forecast.learn("respond", 400, Usage(prompt_tokens=200))
    assert forecast.expect("respond", 400, 50) == 250
