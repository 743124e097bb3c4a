"""What an error says that a server sends: its message, its codes, and the HTTP status that these stand for.

Each provider has a form of its own: `error` (OpenAI, Anthropic), a list of one (Google), `detail` (FastAPI), fields at
the top (vLLM, gateways), `errors`. Some send it with status 200, where the code alone says what happened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_INNER = ("error", "errors", "detail", "base_resp")
"""Fields that hold the error itself, in place of words."""

_CODES = (
    *("code", "status", "type", "status_code", "statusCode", "error_code", "errorCode", "http_code", "http_status"),
    "error",
)
_MESSAGES = (
    *("message", "msg", "error_message", "errorMessage", "error_msg", "status_msg", "detail", "title"),
    *("error_description", "error", "errors"),
)

EXHAUSTED = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes of an account that no wait refills."""

_WORDS_OF_STATUS = {
    400: ("invalid_request", "invalid_argument", "failed_precondition", "validation", "context_length_exceeded"),
    401: (
        *("authentication", "unauthenticated", "not_authenticated", "authentication_failed", "unrecognized_client"),
        *("invalid_api_key", "incorrect_api_key", "api_key_invalid", "invalid_key", "invalid_authentication"),
        *("invalid_token", "expired_token", "token_expired", "unauthorised"),
    ),
    402: ("billing", "insufficient_credits", "insufficient_balance"),
    403: ("permission", "permission_denied", "access_denied"),
    404: ("model_not_found", "invalid_model", "unknown_model", "resource_not_found", "deployment_not_found"),
    413: ("request_too_large",),
    429: (*EXHAUSTED, "resource_exhausted", "quota_exceeded", "service_quota_exceeded", "throttling", "throttled"),
    500: ("internal", "server", "api"),
    503: ("unavailable", "overloaded", "engine_overloaded", "model_not_ready"),
    504: ("timeout", "deadline_exceeded"),
}
"""Codes in words, of OpenAI, Anthropic, Google (gRPC), AWS and LiteLLM; `...Error` and `...Exception` are cut off."""

_NAMED_STATUS = (400, 401, 402, 403, 404, 405, 408, 422, 429, 500, 502, 503, 504)
"""Whose names are codes, too (`Too Many Requests`); other names are plain words (`Gone`, `Conflict`)."""

_RATE_LIMIT = "ratelimit"

_MODEL = r"\bmodel(?:[ _-](?:name|id|identifier|code|with(?: name| id)?|named))?\b"
_NAMED = r"(?:[\s:=('\"`]+[\w./:@+-]{1,100}['\"`)]*)?"
_GONE = (
    r"(?:not (?:found|exist|be found|recogni[sz]ed|supported by any|an? (?:valid|known))|unknown|invalid|decommissioned"
    r"|deprecated|retired|not available(?! +(?:for|with|when|right|at)))\b"
)
_NO = (
    r"\b(?:unknown|invalid|no such|unrecogni[sz]ed|unsupported|not found(?: the)?|not find(?: the| a)?"
    r"|no(?= model named)|unable to access(?: non-serverless)?|not an? (?:valid|known|supported))"
)
_NO_SUCH_MODEL = re.compile(
    rf"{_MODEL}{_NAMED}\s+(?:(?:was|is|does|has been|could|cannot)\s+)?{_GONE}"
    rf"|{_NO}\s+{_MODEL}(?!\s+(?:param|config|input|output|response|arg|setting|option))|模型.{{0,40}}不存在",
    re.IGNORECASE,
)

_MESSAGES_OF_STATUS = (
    (401, re.compile(r"API_KEY_INVALID|(?:incorrect|invalid|wrong) api key|api key not valid", re.IGNORECASE)),
    (
        429,
        re.compile(
            r"\brate limit|too many requests|quota exceeded|usage limit"
            r"|\b(?:hourly|daily|weekly|monthly)\b.{0,30}\b(?:limit|quota)",
            re.IGNORECASE,
        ),
    ),
)
"""What is said where no code says it, or one that says no more than that the request is wrong."""

_SUCCESS = frozenset({"0", "200", "ok", "success", "succeeded", "none", "null", "no error"})

_PARAMETER = re.compile(r"[a-z_]+(?:[.\[][a-z0-9_.\[\]]*)?", re.IGNORECASE)

_SIZES = ("n_prompt_tokens", "n_ctx")

_MOST_NESTED = 3


@dataclass(frozen=True)
class SaidError:
    """What an error says."""

    text: str
    """All of it, as it came."""
    message: str
    """Its own words; all of it where it has none."""
    codes: frozenset[str]
    status: int | None
    """The HTTP status that its codes, or else its words, stand for; None where they stand for none."""
    body: Any = None
    """Its JSON; None for anything else."""


def read_error(text: str) -> SaidError:
    """The error in a body, JSON or not."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return SaidError(text, text, frozenset(), None)
    return _said(body, text)


def error_within(body: Any) -> SaidError | None:
    """The error that a body of status 200 holds; None where it holds none.

    What has choices, and no `error` or one that tells of success, is an answer, whatever else it says.
    """
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, Mapping) or (first.get("choices") and is_no_error(first.get("error"))):
        return None
    said = _said(first, json.dumps(body))
    named = any(first.get(name) for name in _INNER)
    return said if named or said.status is not None or _message(_parts(first)) else None


def is_no_error(error: Any) -> bool:
    """Whether an `error` is empty, or says that there was none."""
    if isinstance(error, Mapping | list):
        return all(map(is_no_error, error.values() if isinstance(error, Mapping) else error))
    return not error or str(error).strip().lower() in _SUCCESS


def refused_parameter(said: SaidError) -> str:
    """The parameter of the request that an error is about (OpenAI's `param`, FastAPI's `loc`); empty for none."""
    for part in _parts(said.body):
        place = part.get("loc")
        named = part.get("param") or (place[-1] if isinstance(place, list) and place else None)
        if isinstance(named, str) and _PARAMETER.fullmatch(named):
            return named
    return ""


def context_fields(said: SaidError) -> dict[str, int]:
    """The sizes that an error holds in fields of their own (llama.cpp's)."""
    parts = _parts(said.body)
    return {name: size for name in _SIZES for part in parts if isinstance(size := part.get(name), int)}


def status_of_code(code: Any) -> int | None:
    """The HTTP status that an error's code is, or stands for; None for other codes."""
    if isinstance(code, bool):
        return None
    if isinstance(code, str) and not (len(code) == 3 and code.isdecimal()):
        word = _word(code)
        return 429 if _RATE_LIMIT in word else _STATUS_OF_WORDS.get(word)
    number = int(code) if isinstance(code, int | str) or (isinstance(code, float) and code.is_integer()) else 0
    return number if 400 <= number <= 599 else None


def _said(body: Any, text: str) -> SaidError:
    parts = _parts(body[0] if isinstance(body, list) and body else body)
    values = [part[name] for part in parts for name in _CODES if isinstance(part.get(name), str | int | float)]
    codes = [str(value) for value in values if value and not isinstance(value, bool)]
    message = _message(parts) or (body if isinstance(body, str) else text)
    status = next((found for value in values if (found := status_of_code(value)) is not None), None)
    if status in (None, 400, 422):  # Google and xAI say no more than 400 of a wrong key, and name it in words
        status = next((named for named, form in _MESSAGES_OF_STATUS if form.search(text)), status)
        status = 404 if _NO_SUCH_MODEL.search(message) else status
    if status is None:
        status = status_of_code(message)
    return SaidError(text, message, frozenset(codes), status, body)


def _parts(body: Any, depth: int = 0) -> list[Mapping[str, Any]]:
    """The objects that an error consists of, innermost first."""
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, Mapping) or depth > _MOST_NESTED:
        return []
    inner = [part for name in _INNER for part in _parts(body.get(name), depth + 1)]
    return [*inner, body]


def _message(parts: list[Mapping[str, Any]]) -> str:
    """The first words that say what happened; empty for none."""
    return next((said for part in parts for name in _MESSAGES for said in _words(part.get(name))), "")


def _words(value: Any) -> Iterator[str]:
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, str) and first.strip():
        yield first


def _word(code: str) -> str:
    """A code in words as its letters: `RateLimitError`, `rate_limit` and `Rate limit` are one."""
    letters = re.sub("[^a-z]", "", code.lower())
    return letters.removesuffix("exception").removesuffix("error")


_STATUS_OF_WORDS = {_word(HTTPStatus(status).phrase): status for status in _NAMED_STATUS} | {
    _word(word): status for status, words in _WORDS_OF_STATUS.items() for word in words
}
