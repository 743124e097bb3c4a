"""How long a server asks to be left alone, and what is left of its rate limits: from its headers, or its own words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from teams_dagster.core.protocol import RateLimitHeaders

if TYPE_CHECKING:
    import httpx2

_LIMITS = b"x-ratelimit-re"
"""What the names of the headers of a rate limit begin with: remaining, reset."""

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")

_SECONDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}

_AMOUNT = rf"(?:\d+(?:\.\d+)?)\s*(?:{'|'.join(_SECONDS)})(?![a-z])"

_DURATION = re.compile(rf"{_AMOUNT}(?:[\s,]*(?:and\s+)?{_AMOUNT})*", re.IGNORECASE)
"""`1s`, `6m0s`, `7h12m0s`, `5 minutes and 30 seconds`."""

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)

_IN_WORDS = re.compile(
    rf"\b(?:(?:try|retry|come)\b[^.\d]{{0,30}}\b(?:in|after)|wait)\b[^.\d]{{0,20}}?({_DURATION.pattern})", re.IGNORECASE
)
"""`Please try again in 7h12m0s`, `retry after 30 seconds`, `wait 5 minutes`."""

_AT_IN_WORDS = re.compile(
    r"\b(?:resets?|again|available|until|after|retry|wait|renews?)\b.{0,30}?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)
"""`resets at 2026-12-07 00:00:00 UTC`."""

_IN_BODY = re.compile(r"retry_?(?:after|delay)(?P<ms>_?ms)?", re.IGNORECASE)
"""Fields of an error that hold a pause: Google's `retryDelay`, others' `retry_after`."""

_EPOCH = 1e9
"""A number of seconds that is larger is a moment: no limit takes thirty years to reset."""

_LONGEST_PAUSE_S = 366 * 86_400.0
"""A server that asks for more means something else."""

_MOST_DIGITS = 18
_MOST_NESTED = 6
_TOO_MANY_REQUESTS = 429


def read_rate_limit_headers(headers: httpx2.Headers) -> RateLimitHeaders | None:
    """What `x-ratelimit-*` headers say; None where there are none."""
    found = {name.lower(): value for name, value in headers.raw if name[:14].lower() == _LIMITS}
    if not found:
        return None
    said = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in found.items()}
    return RateLimitHeaders(
        requests=_remaining(said.get("x-ratelimit-remaining-requests")),
        requests_reset_s=_until(said.get("x-ratelimit-reset-requests"), headers),
        tokens=_remaining(said.get("x-ratelimit-remaining-tokens")),
        tokens_reset_s=_until(said.get("x-ratelimit-reset-tokens"), headers),
    )


def asked_pause_s(headers: httpx2.Headers | None, message: str, body: Any, http_status: int) -> float | None:
    """Seconds to wait after a failure; None where it says nothing that anybody can mean.

    `Retry-After` counts first, then what the error's JSON and its words say, then a refusal's reset of a limit that is
    used up.
    """
    said = {} if headers is None else headers
    found = [*_of_headers(said), *_of_body(body), _in_words(message), _at_in_words(message, said)]
    if http_status == _TOO_MANY_REQUESTS:
        found += [*([] if headers is None else _of_limits(headers)), *_of_quoted_headers(body)]
    return next((each for each in found if each is not None and 0 <= each <= _LONGEST_PAUSE_S), None)


def _of_headers(headers: Mapping[str, str]) -> Iterator[float | None]:
    for name in _MILLISECONDS:
        yield _number(headers.get(name), 0.001)
    yield _until(headers.get("retry-after", "").strip(), headers)


def _of_limits(headers: httpx2.Headers) -> Iterator[float | None]:
    """When the limits that are used up are full again."""
    for name in _RESETS:
        yield _until(headers.get(name, "").strip(), headers)
    limits = read_rate_limit_headers(headers)
    if limits is not None:
        yield limits.requests_reset_s if limits.requests == 0 else None
        yield limits.tokens_reset_s if limits.tokens == 0 else None


def _of_body(body: Any, depth: int = 0) -> Iterator[float | None]:
    """The fields of an error, at any depth that a person would write, that hold a pause."""
    if depth > _MOST_NESTED:
        return
    if isinstance(body, list):
        for each in body:
            yield from _of_body(each, depth + 1)
    elif isinstance(body, Mapping):
        for name, value in body.items():
            if (field := _IN_BODY.fullmatch(str(name))) is not None:
                yield _pause(value, 0.001 if field["ms"] else 1.0)
            else:
                yield from _of_body(value, depth + 1)


def _pause(value: Any, unit_s: float) -> float | None:
    """A field's pause: a number, a duration, or Google's object of seconds."""
    if isinstance(value, Mapping):
        value = value.get("seconds")
    return _until(value, {}) if isinstance(value, str) and unit_s == 1.0 else _number(value, unit_s)


def _of_quoted_headers(body: Any) -> Iterator[float | None]:
    """The headers of whoever refused, which a router quotes in its error (OpenRouter's `metadata.headers`)."""
    first = body[0] if isinstance(body, list) and body else body
    for name in ("error", "metadata", "headers"):
        first = first.get(name) if isinstance(first, Mapping) else None
    if isinstance(first, Mapping):
        quoted = {str(name).lower(): str(value) for name, value in first.items()}
        for name in _RESETS:
            yield _until(quoted.get(name), quoted)


def _in_words(message: str) -> float | None:
    said = _IN_WORDS.search(message)
    return None if said is None else _seconds(said[1])


def _at_in_words(message: str, headers: Mapping[str, str]) -> float | None:
    """Seconds until a moment that a message names."""
    said = _AT_IN_WORDS.search(message)
    if said is None:
        return None
    zone = "+00:00" if (said[2] or "Z").upper() in ("Z", "UTC", "GMT") else said[2]
    return _until(f"{said[1]}{zone}", headers)


def _seconds(duration: str) -> float:
    """Of a text that `_DURATION` matches."""
    parts = ((number, unit.lower()) for number, unit in _PART.findall(duration))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts if unit != "and")


def _number(value: Any, unit_s: float) -> float | None:
    """A number of units; None for anything else."""
    try:
        return None if value is None or isinstance(value, bool) else float(value) * unit_s
    except (TypeError, ValueError, OverflowError):
        return None


def _remaining(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else None


def _until(value: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds, from `1s`, `6m0s`, `17ms`, plain seconds, a number of seconds or milliseconds since 1970, or a date."""
    if not value:
        return None
    if _DURATION.fullmatch(value):
        return _seconds(value)
    if value.replace(".", "", 1).isdecimal():
        number = float(value)
        if number < _EPOCH:
            return number
        moment = number / 1_000 if number > _EPOCH * 1_000 else number
    elif (date := _date(value)) is not None:
        moment = date
    else:
        return None
    return max(0.0, moment - _time_there(headers))


def _date(value: str) -> float | None:
    """Seconds since 1970, from a date as HTTP or ISO 8601 writes it; None for anything else."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(value)
        except (ValueError, OverflowError):  # the second: a day or an hour of so many digits that no date holds it
            continue
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return None


def _time_there(headers: Mapping[str, str]) -> float:
    """Seconds since 1970 by the server's clock, which its dates are of, as far as it says."""
    there = _date(headers.get("date", ""))
    return time.time() if there is None else there
