"""What OpenAI-compatible endpoints send back: completions, failures, and what is left of their rate limits.

Servers differ in what they leave out and in what they call things; what is not there is None, never a guess.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from resources.language_models.openai_dialect import NOT_TAKEN
from teams_dagster.core.protocol import (
    ROLE_VARIABLES,
    Completion,
    CompletionError,
    ErrorKind,
    RateLimitHeaders,
    ReplyToken,
    Usage,
)
from teams_dagster.llm.settling import completion_of

if TYPE_CHECKING:
    import httpx2

OMITTABLE = ("temperature", "top_p", "seed")
"""Request parameters that an endpoint may refuse and an answer can do without."""

_MOST_TOKENS = 10**9
"""No call has more. A larger count is a server's mistake, and sums over such counts leave 64 bits."""


def read_completion(content: bytes, http_status: int, rate_limit_headers: RateLimitHeaders | None = None) -> Completion:
    """The completion in a 2xx response body.

    Raises CompletionError when it holds none: BAD_ENCODING, NOT_JSON, or BAD_REPLY for JSON of another form.
    """
    try:
        body = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _unusable(ErrorKind.BAD_ENCODING, "bytes that are not UTF-8", content, http_status) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(ErrorKind.NOT_JSON, "something that is not JSON", content, http_status) from error
    if (failure := _failure_within(body)) is not None:
        raise failure
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text, reasoning = _text_and_reasoning(message)
        finish_reason = str(choice.get("finish_reason") or "")
        refusal = message.get("refusal")
        usage = _usage(body.get("usage"))
        tokens = _tokens(choice.get("logprobs"))
        broke_off = choice.get("error")
    except (LookupError, TypeError, AttributeError) as error:
        raise _unusable(ErrorKind.BAD_REPLY, "JSON that is no chat completion", content, http_status) from error
    if broke_off or finish_reason.lower() == "error":
        detail = f"the server broke its answer off: {_message_of(broke_off) or 'finish_reason is error'}"
        raise CompletionError(ErrorKind.INCOMPLETE, detail, http_status=http_status)
    return completion_of(
        text,
        finish_reason,
        refusal=refusal,
        reasoning=reasoning,
        usage=usage,
        tokens=tokens,
        rate_limit_headers=rate_limit_headers,
    )


def _failure_within(body: Any) -> CompletionError | None:
    """The failure in a 2xx body that holds an error and no choice: what its code says it is. None for other bodies."""
    error = body.get("error") if isinstance(body, Mapping) and not body.get("choices") else None
    if not error:
        return None
    named = error if isinstance(error, Mapping) else body
    status = _status_of(named.get("code")) or _status_of(named.get("status"))
    if status is None:
        return None
    failure = read_failure(json.dumps(body).encode(), status)
    said = failure.detail.removeprefix(f"HTTP {status}: ")
    return CompletionError(failure.kind, f"HTTP 200 with an error of code {status}: {said}", http_status=status)


def _status_of(code: Any) -> int | None:
    """The HTTP status that an error's code is, or stands for; None for other codes."""
    if isinstance(code, str) and "rate_limit" in code.lower():
        return 429
    number = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else 0
    return number if 400 <= number <= 599 else None


def _message_of(error: Any) -> str:
    """What an error object says, shortened."""
    return str(error.get("message") or error)[:300] if isinstance(error, Mapping) else str(error or "")[:300]


def _unusable(kind: ErrorKind, what: str, content: bytes, http_status: int) -> CompletionError:
    start = content[:300].decode("utf-8", "replace")
    return CompletionError(kind, f"the server answered {http_status} with {what}: {start!r}", http_status=http_status)


_TEXT_PARTS = frozenset({"text", "output_text"})
_THOUGHT_PARTS = frozenset({"thinking", "reasoning"})


def _text_and_reasoning(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """A message's text, and what the server sets apart as thought.

    Content is a string, nothing, or parts (one, or a list). The text is None where there is none to expect: a tool
    call, parts of another kind.
    """
    content = message.get("content")
    parts = [content] if isinstance(content, str | Mapping) else list(content or [])
    fields = [message.get("reasoning_content") or message.get("reasoning")]
    thoughts = [part for part in parts if isinstance(part, Mapping) and part.get("type") in _THOUGHT_PARTS]
    thoughts_in_parts = [part.get("thinking") or part.get("text") for part in thoughts]
    reasoning = "\n\n".join(said for thought in (*fields, *thoughts_in_parts) if (said := _plain(thought)))
    texts = [_plain(part) for part in parts if isinstance(part, str) or part.get("type") in _TEXT_PARTS]
    if message.get("tool_calls") or (parts and not texts and not thoughts):
        return None, reasoning
    return "".join(texts), reasoning


def _plain(value: Any) -> str:
    """The text of a part, of a list of parts, or of a string; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _plain(value.get("text"))
    return "".join(map(_plain, value)) if isinstance(value, list) else ""


def _usage(reported: Any) -> Usage:
    """Tokens as reported. Some servers (xAI, Gemini) count reasoning in the total alone: it is completion, too."""
    if not isinstance(reported, Mapping):
        return Usage()
    read = _details(reported.get("prompt_tokens_details"))
    written = _details(reported.get("completion_tokens_details"))
    counts = (
        *(reported.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")),
        *(read.get(name) for name in ("cached_tokens", "cache_write_tokens")),
        written.get("reasoning_tokens"),
    )
    prompt, completion = _count(reported.get("prompt_tokens")), _count(reported.get("completion_tokens"))
    total, reasoning = _count(reported.get("total_tokens")), _count(written.get("reasoning_tokens"))
    if prompt is not None and completion is not None and total is not None and total > prompt + completion:
        reasoning = total - prompt - completion if reasoning is None else reasoning
        completion = total - prompt
    return Usage(
        prompt,
        _count(read.get("cached_tokens")),
        completion,
        reasoning,
        _count(read.get("cache_write_tokens")),
        impossible=any(isinstance(count, int | float) and _count(count) is None for count in counts),
    )


def _tokens(reported: Any) -> tuple[ReplyToken, ...]:
    """The reply's tokens with what could have stood in their places; empty where that is not reported whole."""
    listed = _details(reported).get("content")
    try:
        return tuple(
            ReplyToken(
                str(token["token"]),
                {str(other["token"]): float(other["logprob"]) for other in (*token["top_logprobs"], token)},
            )
            for token in listed or ()
        )
    except (LookupError, TypeError, ValueError):
        return ()


def _details(reported: Any) -> Mapping[str, Any]:
    return reported if isinstance(reported, Mapping) else {}


def _count(value: Any) -> int | None:
    """A number of tokens that a call can have; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None


# -- responses that are no success ------------------------------------------------------------------------------------

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
_WRONG_KEY = re.compile("API_KEY_INVALID|incorrect api key|api key not valid", re.IGNORECASE)
"""Google and xAI answer 400 to a wrong key."""

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
        f"HTTP {http_status}: {said.message[:1_000]}{hint}",
        http_status=http_status,
        retry_after=retry_after,
        rate_limit_headers=None if headers is None else read_rate_limit_headers(headers),
    )


def _kind(status: int, said: _Said, *, has_end: bool = False) -> ErrorKind:
    """What kind of failure a status and a body are; `has_end` says that the server told when to come back."""
    if status >= 500:
        return _OTHER_STATUS.get(status, ErrorKind.SERVER)
    if status == 429:
        exhausted = said.codes & _EXHAUSTED or (not has_end and _OF_THE_DAY.search(said.message))
        return ErrorKind.DENIED if exhausted else ErrorKind.RATE_LIMITED
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


# -- headers ----------------------------------------------------------------------------------------------------------

_LIMITS = b"x-ratelimit-re"
"""What the names of the headers read here begin with: remaining, reset."""

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

_EPOCH = 1e9
"""A number of seconds that is larger is a moment: no limit takes thirty years to reset."""


def read_rate_limit_headers(headers: httpx2.Headers) -> RateLimitHeaders | None:
    """What `x-ratelimit-*` headers say; None where there are none."""
    found = {name.lower(): value for name, value in headers.raw if name[:14].lower() == _LIMITS}
    if not found:
        return None
    said = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in found.items()}
    return RateLimitHeaders(
        requests=_remaining(said.get("x-ratelimit-remaining-requests")),
        requests_reset_s=_until(said.get("x-ratelimit-reset-requests")),
        tokens=_remaining(said.get("x-ratelimit-remaining-tokens")),
        tokens_reset_s=_until(said.get("x-ratelimit-reset-tokens")),
    )


def _remaining(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() else None


def _until(value: str | None) -> float | None:
    """Seconds, from `1s`, `6m0s`, `17ms`, plain seconds, a number of seconds or milliseconds since 1970, or a date."""
    if not value:
        return None
    if _DURATION.fullmatch(value):
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    try:
        if value.replace(".", "", 1).isdigit():
            number = float(value)
            moment = number / 1_000 if number > _EPOCH * 1_000 else number
            return number if number < _EPOCH else max(0.0, moment - time.time())
        date = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` (seconds or a date) or `retry-after-ms`."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1_000)
        value = headers.get("retry-after")
        if not value:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
