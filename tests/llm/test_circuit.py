import asyncio
import itertools
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from teams_dagster.core.protocol import CompletionError, ErrorKind, Role
from teams_dagster.llm.circuit import (
    DENIED_AT_FIRST,
    DENIED_LATER,
    FOREIGN_AT_FIRST,
    FOREIGN_AT_FIRST_S,
    IN_TROUBLE,
    OUTAGE,
    OUTAGE_AT_ALL,
    OUTAGE_QUERIES,
    OUTAGE_S,
    REFUSED_AT_FIRST_S,
    REJECTED_AT_FIRST,
    STALLED_S,
    Circuit,
    EndpointBroken,
)
from teams_dagster.llm.concurrency import AdaptiveLimit
from teams_dagster.llm.rate_limits import RateLimit
from tests.support.virtual_time import run_in_virtual_time

ENDPOINT = "https://models.example/v1 (large)"


class Endpoint:
    """A circuit and the clock it reads."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queries = itertools.count()
        self.circuit = Circuit(ENDPOINT, Role.EXPERT, clock=lambda: self.now)

    def fails(
        self,
        kind: ErrorKind,
        times: int = 1,
        *,
        every_s: float = 0.0,
        status: int | None = None,
        latency_s: float = 0.0,
        query: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Without `query`, each time in an attempt at another one."""
        for _ in range(times):
            error = CompletionError(kind, "no luck", http_status=status, retry_after=retry_after)
            self.circuit.failed(error, latency_s, query=next(self._queries) if query is None else query)
            self.now += every_s

    def succeeds(self) -> None:
        self.circuit.succeeded()

    @property
    def broken(self) -> bool:
        try:
            self.circuit.check()
        except EndpointBroken:
            return True
        return False


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def test_a_wrong_key_costs_three_calls(endpoint: Endpoint):
    endpoint.fails(ErrorKind.DENIED, DENIED_AT_FIRST - 1)
    assert not endpoint.broken
    endpoint.fails(ErrorKind.DENIED)
    assert endpoint.broken
    assert DENIED_AT_FIRST == 3


def test_an_expired_key_is_noticed_after_twenty_refusals_in_a_row(endpoint: Endpoint):
    endpoint.succeeds()
    endpoint.fails(ErrorKind.DENIED, DENIED_LATER - 1)
    endpoint.succeeds()
    endpoint.fails(ErrorKind.DENIED, DENIED_LATER - 1)
    assert not endpoint.broken
    endpoint.fails(ErrorKind.DENIED)
    assert endpoint.broken


def test_refusals_of_the_key_add_up_across_other_failures(endpoint: Endpoint):
    for _ in range(DENIED_AT_FIRST):
        endpoint.fails(ErrorKind.RATE_LIMITED)
        endpoint.fails(ErrorKind.DENIED)
    assert endpoint.broken


def test_a_parameter_that_the_endpoint_does_not_take_is_noticed_when_nothing_ever_succeeded(endpoint: Endpoint):
    endpoint.fails(ErrorKind.REJECTED, REJECTED_AT_FIRST - 1)
    assert not endpoint.broken
    endpoint.fails(ErrorKind.REJECTED)
    assert endpoint.broken


def test_a_rejected_request_is_a_rows_own_trouble_once_others_were_answered(endpoint: Endpoint):
    endpoint.succeeds()
    endpoint.fails(ErrorKind.REJECTED, 10_000, every_s=1)
    assert not endpoint.broken


def test_a_rejected_request_is_no_sign_of_life_either(endpoint: Endpoint):
    endpoint.succeeds()
    for _ in range(DENIED_LATER):
        endpoint.fails(ErrorKind.DENIED)
        endpoint.fails(ErrorKind.REJECTED)
    assert endpoint.broken


@pytest.mark.parametrize(
    "kind", [ErrorKind.UNREACHABLE, ErrorKind.NOT_JSON, ErrorKind.BAD_REPLY, ErrorKind.BAD_ENCODING]
)
def test_a_wrong_url_is_noticed_after_a_dozen_attempts_when_nothing_ever_succeeded(endpoint: Endpoint, kind: ErrorKind):
    endpoint.fails(kind, FOREIGN_AT_FIRST - 1, every_s=FOREIGN_AT_FIRST_S / 10)
    assert not endpoint.broken
    endpoint.fails(kind)
    assert endpoint.broken


def test_what_meets_one_instants_hiccup_at_the_start_gets_another_chance(endpoint: Endpoint):
    endpoint.fails(ErrorKind.UNREACHABLE, 200)
    assert not endpoint.broken
    endpoint.now = FOREIGN_AT_FIRST_S
    endpoint.fails(ErrorKind.UNREACHABLE)
    assert endpoint.broken


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.UNREACHABLE,
        ErrorKind.CONNECTION,
        ErrorKind.SERVER,
        ErrorKind.BAD_REPLY,
        ErrorKind.NOT_JSON,
        ErrorKind.BAD_ENCODING,
        ErrorKind.INCOMPLETE,
    ],
)
def test_an_outage_is_twenty_attempts_without_a_success_in_between(endpoint: Endpoint, kind: ErrorKind):
    endpoint.succeeds()
    endpoint.fails(kind, OUTAGE - 1, every_s=OUTAGE_S / 10)
    endpoint.succeeds()
    endpoint.fails(kind, OUTAGE - 1, every_s=OUTAGE_S / 10)
    assert not endpoint.broken
    endpoint.fails(kind)
    assert endpoint.broken
    assert OUTAGE == 20


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.CONNECTION,
        ErrorKind.SERVER,
        ErrorKind.BAD_REPLY,
        ErrorKind.NOT_JSON,
        ErrorKind.BAD_ENCODING,
        ErrorKind.INCOMPLETE,
    ],
)
def test_a_server_that_only_ever_answered_with_failures_is_broken_after_twenty_however_quickly_they_came(
    endpoint: Endpoint, kind: ErrorKind
):
    for query in range(OUTAGE // 5):
        assert not endpoint.broken
        endpoint.fails(kind, 5, query=f"query {query}")
    assert endpoint.broken


def test_timeouts_are_an_outage_after_a_hundred(endpoint: Endpoint):
    endpoint.succeeds()
    endpoint.fails(ErrorKind.TIMEOUT, OUTAGE_AT_ALL - 1, every_s=OUTAGE_S / 10)
    assert not endpoint.broken
    endpoint.fails(ErrorKind.TIMEOUT)
    assert endpoint.broken


def test_attempts_at_few_queries_are_no_outage_before_there_were_a_hundred(endpoint: Endpoint):
    endpoint.succeeds()
    for query in range(OUTAGE_QUERIES - 1):
        endpoint.fails(ErrorKind.SERVER, 11, every_s=OUTAGE_S / 10, query=f"query {query}")
    assert not endpoint.broken
    endpoint.fails(ErrorKind.SERVER, query="query 0")
    assert endpoint.broken


def test_an_endpoint_is_in_trouble_until_it_answers(endpoint: Endpoint):
    endpoint.fails(ErrorKind.SERVER, IN_TROUBLE - 1)
    assert not endpoint.circuit.in_trouble
    endpoint.fails(ErrorKind.NOT_JSON)
    assert endpoint.circuit.in_trouble
    endpoint.succeeds()
    assert not endpoint.circuit.in_trouble


def test_an_endpoint_that_only_ever_refused_for_overload_is_in_trouble_and_one_that_worked_is_not(endpoint: Endpoint):
    endpoint.fails(ErrorKind.RATE_LIMITED, IN_TROUBLE - 1)
    assert not endpoint.circuit.in_trouble
    endpoint.fails(ErrorKind.RATE_LIMITED)
    assert endpoint.circuit.in_trouble
    endpoint.succeeds()
    endpoint.fails(ErrorKind.RATE_LIMITED, IN_TROUBLE)
    assert not endpoint.circuit.in_trouble


def test_an_outage_may_show_itself_in_several_ways(endpoint: Endpoint):
    endpoint.succeeds()
    for _ in range(OUTAGE // 2):
        endpoint.fails(ErrorKind.CONNECTION, every_s=2)
        endpoint.fails(ErrorKind.SERVER, every_s=1)
    assert endpoint.broken


def test_a_restarting_server_is_no_outage_before_twenty_seconds(endpoint: Endpoint):
    endpoint.succeeds()
    endpoint.now = 1_000.0
    endpoint.fails(ErrorKind.CONNECTION, OUTAGE_AT_ALL * 3)
    endpoint.now += OUTAGE_S - 0.1
    endpoint.fails(ErrorKind.CONNECTION)
    assert not endpoint.broken
    endpoint.now += 0.1
    endpoint.fails(ErrorKind.CONNECTION)
    assert endpoint.broken


def test_a_huge_answer_is_never_a_broken_endpoint(endpoint: Endpoint):
    endpoint.fails(ErrorKind.TOO_LARGE, 10_000, every_s=1)
    assert not endpoint.broken


@pytest.mark.parametrize("kind", [ErrorKind.UNSUPPORTED, ErrorKind.UNLOADABLE])
def test_a_parameter_that_is_not_taken_or_weights_that_do_not_load_cost_one_call(endpoint: Endpoint, kind: ErrorKind):
    endpoint.fails(kind)
    assert endpoint.broken


@pytest.mark.parametrize("kind", [ErrorKind.RATE_LIMITED, ErrorKind.TIMEOUT, ErrorKind.SERVER])
def test_an_endpoint_from_which_nothing_comes_for_eight_minutes_ends_the_step(endpoint: Endpoint, kind: ErrorKind):
    endpoint.succeeds()
    endpoint.now = 10_000.0
    endpoint.fails(kind, every_s=STALLED_S - 1)
    endpoint.fails(kind, every_s=1)
    assert not endpoint.broken
    endpoint.succeeds()
    endpoint.fails(kind, every_s=STALLED_S)
    assert not endpoint.broken
    endpoint.fails(kind)
    assert endpoint.broken


def test_an_endpoint_that_answered_nothing_and_refuses_without_an_end_is_waited_for_three_minutes(endpoint: Endpoint):
    endpoint.fails(ErrorKind.RATE_LIMITED, 30, every_s=REFUSED_AT_FIRST_S / 30 - 0.01)
    assert not endpoint.broken, "a limit of a minute, and another one"
    endpoint.now = REFUSED_AT_FIRST_S
    endpoint.fails(ErrorKind.RATE_LIMITED, status=429)
    with pytest.raises(
        EndpointBroken, match=r"in 3 minutes.*rate limit.*TEAMS_EXPERT_RPM.*TEAMS_EXPERT_API_KEY"
    ) as told:
        endpoint.circuit.check()
    assert told.value.attempts == 31
    assert REFUSED_AT_FIRST_S == 180


def refused_with_an_end(endpoint: Endpoint) -> None:
    endpoint.fails(ErrorKind.RATE_LIMITED, 2, every_s=STALLED_S / 2 - 1, retry_after=60.0)


def answered_once(endpoint: Endpoint) -> None:
    endpoint.succeeds()
    endpoint.fails(ErrorKind.RATE_LIMITED, 2, every_s=STALLED_S / 2 - 1)


def failed_in_another_way(endpoint: Endpoint) -> None:
    endpoint.fails(ErrorKind.TIMEOUT)
    endpoint.fails(ErrorKind.RATE_LIMITED, 2, every_s=STALLED_S / 2 - 1)


@pytest.mark.parametrize("meanwhile", [refused_with_an_end, answered_once, failed_in_another_way])
def test_one_that_says_when_or_worked_or_met_something_else_is_waited_for_longer(
    endpoint: Endpoint, meanwhile: Callable[[Endpoint], None]
):
    meanwhile(endpoint)
    endpoint.fails(ErrorKind.RATE_LIMITED, retry_after=60.0 if meanwhile is refused_with_an_end else None)
    assert not endpoint.broken
    endpoint.now = STALLED_S
    endpoint.fails(ErrorKind.RATE_LIMITED)
    assert endpoint.broken


def test_that_begins_when_the_first_call_was_sent_and_lasts_at_least_three_calls(endpoint: Endpoint):
    endpoint.now = 200.0
    endpoint.fails(ErrorKind.TIMEOUT, latency_s=200.0, every_s=399.0)
    endpoint.fails(ErrorKind.TIMEOUT, latency_s=200.0)
    assert not endpoint.broken
    endpoint.now = 600.0
    endpoint.fails(ErrorKind.TIMEOUT, latency_s=200.0)
    assert endpoint.broken


@pytest.mark.parametrize(
    ("status", "named"),
    [
        (401, "TEAMS_EXPERT_API_KEY"),
        (403, "TEAMS_EXPERT_MODEL"),
        (404, "TEAMS_EXPERT_BASE_URL (is a path like /v1 missing?)"),
        (429, "quota of the account behind TEAMS_EXPERT_API_KEY"),
        (401, "TEAMS_API_KEY"),
        (403, "TEAMS_MODEL"),
        (404, "TEAMS_BASE_URL"),
    ],
)
def test_the_reason_names_the_settings_to_check(endpoint: Endpoint, status: int, named: str):
    endpoint.fails(ErrorKind.DENIED, DENIED_AT_FIRST, status=status)
    with pytest.raises(EndpointBroken, match=re.escape(named)):
        endpoint.circuit.check()


def test_a_pause_of_a_day_names_the_hour_it_ends(endpoint: Endpoint):
    endpoint.circuit.open(CompletionError(ErrorKind.RATE_LIMITED, "enough for today", retry_after=86_400.0))
    ends = datetime.now().astimezone() + timedelta(days=1)
    with pytest.raises(EndpointBroken, match=f"left alone until {ends:%Y-%m-%d %H}"):
        endpoint.circuit.check()


def test_a_failed_server_that_asks_for_hours_names_the_hour_it_ends(endpoint: Endpoint):
    endpoint.circuit.open(CompletionError(ErrorKind.SERVER, "maintenance", http_status=503, retry_after=7_200.0))
    ends = datetime.now().astimezone() + timedelta(hours=2)
    with pytest.raises(EndpointBroken, match=f"left alone until {ends:%Y-%m-%d %H}"):
        endpoint.circuit.check()


def test_a_failure_that_names_the_setting_itself_gets_no_further_advice(endpoint: Endpoint):
    failure = CompletionError(ErrorKind.UNSUPPORTED, "no top_p (set TEAMS_EXPERT_OMIT=top_p)")
    endpoint.circuit.failed(failure, query=1)
    with pytest.raises(EndpointBroken, match=r"no top_p \(set TEAMS_EXPERT_OMIT=top_p\)\. What is paid is kept"):
        endpoint.circuit.check()


def test_once_broken_it_stays_so(endpoint: Endpoint):
    endpoint.fails(ErrorKind.DENIED, DENIED_AT_FIRST)
    endpoint.succeeds()
    endpoint.now = 1e6
    assert endpoint.broken


def test_the_reason_names_endpoint_status_and_what_to_check(endpoint: Endpoint):
    endpoint.fails(ErrorKind.DENIED, DENIED_AT_FIRST, status=401)
    with pytest.raises(EndpointBroken) as raised:
        endpoint.circuit.check()
    assert (raised.value.kind, raised.value.http_status, raised.value.attempts) == (ErrorKind.DENIED, 401, 3)
    for part in (ENDPOINT, "3 attempts", "denied", "no luck", "TEAMS_EXPERT_API_KEY", "is kept"):
        assert part in str(raised.value)


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - {ErrorKind.RATE_LIMITED, ErrorKind.TOO_LARGE}))
def test_every_reason_says_what_to_check_in_a_message_of_bounded_length(kind: ErrorKind):
    message = str(EndpointBroken(ENDPOINT, Role.EXPERT, 100, CompletionError(kind, "<html>" * 10_000)))
    assert "Check" in message
    assert len(message) < 1_000
    assert "\n" not in message


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_reason_names_a_setting(kind: ErrorKind):
    assert "TEAMS_EXPERT_" in str(EndpointBroken(ENDPOINT, Role.EXPERT, 100, CompletionError(kind, "no luck")))


def test_sixty_four_waiting_calls_end_with_the_reason_when_the_endpoint_breaks():
    """Limit, rates and circuit as the engine uses them: nobody hangs, nothing stays taken, few calls are spent."""
    sent = 0

    async def main(clock):
        limit, rates, circuit = (
            AdaptiveLimit(4, clock=clock),
            RateLimit(600, clock=clock),
            Circuit(ENDPOINT, Role.EXPERT),
        )

        async def ask() -> None:
            nonlocal sent
            circuit.check()
            await limit.acquire()
            try:
                await rates.wait(100)
                circuit.check()
                sent += 1
                await asyncio.sleep(0.01)
                circuit.failed(CompletionError(ErrorKind.DENIED, "no such key", http_status=401), query=None)
            finally:
                limit.release()

        results = await asyncio.gather(*(ask() for _ in range(64)), return_exceptions=True)
        return results, limit.in_flight

    results, in_flight = run_in_virtual_time(main)
    assert DENIED_AT_FIRST <= sent < DENIED_AT_FIRST + 4  # those under way with the third
    assert in_flight == 0
    assert sum(isinstance(result, EndpointBroken) for result in results) == 64 - sent
