"""When a question is asked again."""

from __future__ import annotations

import pytest

from teams_dagster.core.protocol import CompletionError, ErrorKind
from teams_dagster.llm import retries
from teams_dagster.llm.retries import LONGEST_WAIT_S, RetryPolicy


def failed(kind: ErrorKind = ErrorKind.SERVER, retry_after: float | None = None) -> CompletionError:
    return CompletionError(kind, "no", retry_after=retry_after)


def test_pauses_double_until_the_attempts_are_used_up() -> None:
    patience = RetryPolicy(attempts=6, first_wait_s=0.5)
    pauses = [patience.pause_s(failed()) for _ in range(6)]
    assert pauses[:5] == [pytest.approx(0.5 * 2**n, rel=0.25) for n in range(5)]
    assert pauses[5] is None


def test_what_failed_together_is_not_sent_together_again() -> None:
    assert len({RetryPolicy(6, 0.5).pause_s(failed()) for _ in range(20)}) == 20


def test_no_pause_grows_for_ever() -> None:
    patience = RetryPolicy(attempts=5_000, first_wait_s=0.5)
    pauses = [patience.pause_s(failed()) or 0.0 for _ in range(4_999)]
    assert max(pauses) <= 30 * 1.25


def test_a_refusal_is_no_attempt_and_makes_no_pause_after_a_failure_longer() -> None:
    patience = RetryPolicy(attempts=2, first_wait_s=0.5)
    refused = [patience.pause_s(failed(ErrorKind.RATE_LIMITED)) for _ in range(4)]
    assert refused == [pytest.approx(0.5 * 2**n, rel=0.25) for n in range(4)]
    assert patience.pause_s(failed()) == pytest.approx(0.5, rel=0.25)
    assert patience.pause_s(failed()) is None


@pytest.mark.parametrize("kind", [ErrorKind.RATE_LIMITED, ErrorKind.SERVER])
def test_the_server_is_left_alone_for_as_long_as_it_asks(kind: ErrorKind) -> None:
    assert RetryPolicy(6, 0.5).pause_s(failed(kind, retry_after=7.0)) == 7.0
    assert RetryPolicy(6, 0.5).pause_s(failed(kind, retry_after=LONGEST_WAIT_S + 1)) is None


def test_refusals_are_waited_out_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = RetryPolicy(6, 0.5)
    assert patience.pause_s(failed(ErrorKind.RATE_LIMITED)) is not None
    monkeypatch.setattr(retries, "OVERLOAD_S", -1.0)
    assert patience.pause_s(failed(ErrorKind.RATE_LIMITED)) is None


@pytest.mark.parametrize("kind", [ErrorKind.REJECTED, ErrorKind.DENIED, ErrorKind.TOO_LARGE])
def test_what_cannot_pass_is_not_tried_again(kind: ErrorKind) -> None:
    assert RetryPolicy(6, 0.5).pause_s(failed(kind)) is None


def test_a_connection_that_learns_something_each_time_and_is_refused_all_the_same_is_not_asked_for_ever() -> None:
    patience = RetryPolicy(6, 0.5)
    learnt = CompletionError(ErrorKind.REJECTED, "no", http_status=400, adapted=True)
    pauses = [patience.pause_s(learnt) for _ in range(20)]
    assert pauses[:10] == [0.0] * 10
    assert pauses[-1] is None
