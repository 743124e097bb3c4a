"""How long a server asks to be left alone is read wherever it says so."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
import pytest

from resources.language_models.openai_failures import read_failure
from teams_dagster.core.protocol import CompletionError, ErrorKind

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}


def refused(body: Any = None, headers: dict[str, str] | None = None, status: int = 429) -> CompletionError:
    return read_failure(json.dumps(body or {}).encode(), status, httpx2.Headers(headers or {}))


def saying(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"code": 429, "message": "enough", "details": [RETRY_INFO]}}, 34),
        ([{"error": {"code": 429, "message": "enough", "details": [{"retryDelay": "0.5s"}]}}], 0.5),
        ({"error": {"details": [{"retryDelay": {"seconds": "34"}}]}}, 34),
        ({"error": {"message": "enough", "retry_after": 12}}, 12),
        ({"message": "enough", "retryAfter": "12"}, 12),
        ({"error": {"retry_after_ms": 1_500}}, 1.5),
        (saying("Please try again in 7h12m0s."), 25_920),
        (saying("Limit 6000, used 5900. Please try again in 2m59.56s. Visit https://x"), 179.56),
        (saying("Please try again in 345ms."), 0.345),
        (saying("Please retry in 34.07s."), 34.07),
        (saying("Please retry after 30 seconds."), 30),
        (saying("Too many requests, wait 5 minutes and 30 seconds"), 330),
        (saying("Try again in 2 hours"), 7_200),
        (saying("requests per day: 200. Please try again in 1d2h"), 93_600),
    ],
)
def test_a_pause_is_read_from_what_an_error_says(body: Any, seconds: float) -> None:
    failure = refused(body)
    assert (failure.kind, failure.retry_after) == (ErrorKind.RATE_LIMITED, pytest.approx(seconds))


@pytest.mark.parametrize(
    "body", [saying("Try again later"), saying("You have 20 requests in 60s"), saying("try again in 99999 days"), "no"]
)
def test_a_text_that_names_no_pause_has_none(body: Any) -> None:
    assert refused(body).retry_after is None


@pytest.mark.parametrize("reset", [30.0, 7_200.0])
@pytest.mark.parametrize("form", ["seconds", "since 1970", "milliseconds since 1970"])
@pytest.mark.parametrize("name", ["X-RateLimit-Reset", "RateLimit-Reset"])
def test_the_reset_of_a_limit_is_a_pause_in_each_of_its_forms(name: str, form: str, reset: float) -> None:
    moment = time.time() + reset
    value = {"seconds": reset, "since 1970": moment, "milliseconds since 1970": 1_000 * moment}[form]
    assert refused(headers={name: f"{value:.0f}"}).retry_after == pytest.approx(reset, abs=10)


def test_the_headers_of_the_upstream_count_where_an_error_quotes_them() -> None:
    moment = round(1_000 * (time.time() + 7_200))
    error = {"code": 429, "message": "free-models-per-day", "metadata": {"headers": {"X-RateLimit-Reset": str(moment)}}}
    assert refused({"error": error}).retry_after == pytest.approx(7_200, abs=10)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7h12m0s"}, 25_920),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "7h12m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, 9),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "7"}, 7),
        ({"Retry-After": "7", "X-RateLimit-Reset": "60"}, 7),
    ],
)
def test_the_plainest_header_counts(headers: dict[str, str], seconds: float | None) -> None:
    assert refused(headers=headers).retry_after == seconds


def test_a_reset_is_no_pause_of_a_server_that_failed() -> None:
    assert refused(headers={"X-RateLimit-Reset": "60"}, status=500).retry_after is None
