"""What OpenAI-compatible endpoints say where they do not answer: the failure, and what is left of their rate limits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from resources.language_models.openai_dialect import NOT_TAKEN
from teams_dagster.core.protocol import ROLE_VARIABLES, CompletionError, ErrorKind, RateLimitHeaders
from teams_dagster.llm.settling import storable

if TYPE_CHECKING:
    import httpx2

OMITTABLE = ("temperature", "top_p", "seed")
"""Request parameters that an endpoint may refuse and an answer can do without."""

_DENIED_STATUS = frozenset({401, 402, 403, 404, 405})

_OTHER_STATUS = {
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.SERVER,
    425: ErrorKind.SERVER,
    504: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,
}
"""A gateway that gave up waiting (504, Cloudflare's 524) had passed the request on: it may be billed."""

_EXHAUSTED = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_DENIED_CODES = frozenset({"invalid_api_key", "model_not_found", "invalid_model"}) | _EXHAUSTED

_STATUS_OF_CODES = {
    **dict.fromkeys(_EXHAUSTED | {"resource_exhausted"}, 429),
    "invalid_api_key": 401,
    "model_not_found": 404,
    "invalid_model": 404,
}

_WRONG_KEY = re.compile("API_KEY_INVALID|incorrect api key|api key not valid", re.IGNORECASE)
"""Google and xAI answer 400 to a wrong key."""

_LOGPROBS = re.compile(r"\blogprobs\b", re.IGNORECASE)
"""OpenAI answers 403 where a reasoning model is asked for them: it refuses the request, and not the key."""

_OF_THE_DAY = re.compile(
    r"\bper day\b|\bdaily\b|\bof the day\b|\bRPD\b|\bTPD\b|\bmidnight\b|\btomorrow\b", re.IGNORECASE
)
"""Limits that no run waits for: what a provider that says so without `Retry-After` refuses today is used up."""

_TOO_LONG = re.compile(
    r"context.{0,20}\b(?:length|window|size)|maximum context|context of this model|\bn_ctx\b|exceed.{0,40}\bcontext"
    r"|max_(?:completion_)?tokens.{0,40}(?:too (?:large|high|long)|must be)|at most \d+ (?:completion )?tokens",
    re.IGNORECASE,
)
"""What a refusal says of a prompt and an answer that do not fit together."""


@dataclass(frozen=True)
class _Said:
    """What an error response says."""

    text: str
    message: str
    codes: frozenset[str]

    @staticmethod
    def of(text: str) -> _Said:
        """OpenAI's form, Google's (a list of one) or anything else."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return _Said(text, text, frozenset())
        body = body[0] if isinstance(body, list) and body else body
        error = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(error, Mapping):
            return _Said(text, error if isinstance(error, str) else text, frozenset())
        message = error.get("message")
        codes = frozenset(str(error[name]) for name in ("code", "type") if error.get(name))
        return _Said(text, message if isinstance(message, str) and message else text, codes)


def read_failure(
    content: bytes,
    http_status: int,
    headers: httpx2.Headers | None = None,
    omitted: Collection[str] = (),
    extra: Collection[str] = (),
) -> CompletionError:
    """The failure that a 3xx, 4xx or 5xx response stands for.

    `omitted` parameters were not sent, `extra` ones were added by the role's settings.
    """
    if http_status < 400:
        target = "?" if headers is None else headers.get("location", "?")
        detail = f"HTTP {http_status}: the server redirects to {target}; correct the base URL"
        return CompletionError(ErrorKind.DENIED, detail, http_status=http_status)
    said = _Said.of(content.decode("utf-8", "replace"))
    retry_after = None if headers is None else _retry_after(headers)
    kind, hint = _kind(http_status, said, has_end=retry_after is not None), ""
    if kind is ErrorKind.REJECTED:
        if hint := _hint_on_parameters(said, omitted, extra):
            kind = ErrorKind.UNSUPPORTED
        elif _TOO_LONG.search(said.text):
            hint = f" (tokens of an answer are bounded by {ROLE_VARIABLES}MAX_TOKENS)"
    return CompletionError(
        kind,
        f"HTTP {http_status}: {storable(said.message[:1_000])}{hint}",
        http_status=http_status,
        retry_after=retry_after,
        rate_limit_headers=None if headers is None else read_rate_limit_headers(headers),
    )


def status_of_code(code: str) -> int | None:
    """The HTTP status that an error's code in words stands for; None for other codes."""
    return 429 if "rate_limit" in code.lower() else _STATUS_OF_CODES.get(code.lower())


def _kind(status: int, said: _Said, *, has_end: bool = False) -> ErrorKind:
    """What kind of failure a status and a body are; `has_end` says that the server told when to come back."""
    if status >= 500:
        return _OTHER_STATUS.get(status, ErrorKind.SERVER)
    if status == 429:
        exhausted = said.codes & _EXHAUSTED or (not has_end and _OF_THE_DAY.search(said.message))
        return ErrorKind.DENIED if exhausted else ErrorKind.RATE_LIMITED
    if status == 403 and _LOGPROBS.search(said.message):
        return ErrorKind.REJECTED
    if status in _DENIED_STATUS or said.codes & _DENIED_CODES or (status == 400 and _WRONG_KEY.search(said.text)):
        return ErrorKind.DENIED
    return _OTHER_STATUS.get(status, ErrorKind.REJECTED)


def _hint_on_parameters(said: _Said, omitted: Collection[str], extra: Collection[str]) -> str:
    """What to do about a parameter that the endpoint does not take; nothing where none is named."""
    if not NOT_TAKEN.search(said.text):
        return ""
    added = [name for name in extra if re.search(rf"\b{re.escape(name)}\b", said.text)]
    if added:
        return f" (set {ROLE_VARIABLES}EXTRA without {', '.join(added)})"
    named = [name for name in OMITTABLE if name not in omitted and re.search(rf"\b{name}\b", said.text)]
    return f" (to ask this endpoint without: set {ROLE_VARIABLES}OMIT={','.join(named)})" if named else ""


_LIMITS = b"x-ratelimit-re"
"""What the names of the headers read here begin with: remaining, reset."""

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

_EPOCH = 1e9
"""A number of seconds that is larger is a moment: no limit takes thirty years to reset."""

_LONGEST_PAUSE_S = 366 * 86_400.0
"""A server that asks for more means something else."""

_MOST_DIGITS = 18


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


def _remaining(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else None


def _until(value: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds, from `1s`, `6m0s`, `17ms`, plain seconds, a number of seconds or milliseconds since 1970, or a date."""
    if not value:
        return None
    if _DURATION.fullmatch(value):
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
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


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` or `retry-after-ms`; None for what nobody can mean."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1_000
        else:
            seconds = _until(headers.get("retry-after", "").strip(), headers)
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST_PAUSE_S else None
