"""What OpenAI-compatible endpoints send back as an answer: a completion, or the failure that stands in its place.

Servers differ in what they leave out and in what they call things; what is not there is None, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resources.language_models.openai_errors import error_within, is_no_error
from resources.language_models.openai_failures import read_failure
from resources.language_models.openai_streams import FILTER_RESULTS, is_stream, read_stream
from resources.language_models.openai_waits import read_rate_limit_headers
from teams_dagster.core.json_numbers import whole_number
from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    ReplyToken,
    Usage,
)
from teams_dagster.llm.settling import completion_of, is_broken_off, storable, why_ended

if TYPE_CHECKING:
    import httpx2

_ROUNDED = 1e-3
"""A log-probability above this is a mistake of the server, and no rounding."""

_WRITTEN = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE)

_MOST_NESTED = 8

_MOST_TOKENS = 10**9
"""No call has more. A larger count is a server's mistake, and sums over such counts leave 64 bits."""


def read_completion(content: bytes, http_status: int, headers: httpx2.Headers | None = None) -> Completion:
    """The completion in a 2xx response body, whole or a stream of events.

    Raises CompletionError when it holds none: BAD_ENCODING, NOT_JSON, or BAD_REPLY for JSON of another form.
    """
    try:
        text = content.decode("utf-8-sig")
        body = read_stream(text) if is_stream(text) else json.loads(text, parse_int=whole_number)
    except UnicodeDecodeError as error:
        raise _unusable(ErrorKind.BAD_ENCODING, "bytes that are not UTF-8", content, http_status) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(ErrorKind.NOT_JSON, "something that is not JSON", content, http_status) from error
    except (LookupError, TypeError, AttributeError) as error:
        raise _unusable(ErrorKind.BAD_REPLY, "a stream that is no chat completion", content, http_status) from error
    if (failure := _failure_within(body, headers)) is not None:
        raise failure
    try:
        choice = _first(body["choices"])
        message = choice["message"]
        text, reasoning = _text_and_reasoning(message)
        finish_reason = _finish_reason(body, choice)
        refusal = _refusal(message)
        usage = _usage(body.get("usage"))
        tokens = _tokens(choice.get("logprobs"))
        broke_off = choice.get("error")
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise _unusable(ErrorKind.BAD_REPLY, "JSON that is no chat completion", content, http_status) from error
    if not is_no_error(broke_off) or is_broken_off(finish_reason):
        detail = f"the server broke its answer off: {_message_of(broke_off) or f'finish_reason is {finish_reason}'}"
        raise CompletionError(ErrorKind.INCOMPLETE, detail, http_status=http_status)
    return completion_of(
        text,
        finish_reason,
        refusal=refusal,
        reasoning=reasoning,
        usage=usage,
        tokens=tokens,
        rate_limit_headers=None if headers is None else read_rate_limit_headers(headers),
    )


def _first(choices: Any) -> Any:
    """The choice that was asked for, whatever place a server gives it among further ones."""
    return min(choices, key=lambda choice: index if isinstance(index := choice.get("index"), int) else 0)


def _failure_within(body: Any, headers: httpx2.Headers | None) -> CompletionError | None:
    """The failure in a 2xx body that holds an error: what its code says it is. None for other bodies.

    What stands beside the error was written until then: half a text, which may be billed, whatever its finish reason.
    """
    said = error_within(body)
    if said is None:
        return None
    status, told = said.status or 200, storable(said.message[:1_000])
    failure = None if said.status is None else read_failure(said.text.encode(), said.status, headers)
    kind = ErrorKind.BAD_REPLY if failure is None else failure.kind
    if kind in (ErrorKind.BAD_REPLY, ErrorKind.SERVER, ErrorKind.TIMEOUT) and _has_text(body):
        kind = ErrorKind.INCOMPLETE
    detail = f"HTTP 200 with an error of code {status}: {told}" if failure else f"HTTP 200 with an error: {told}"
    return CompletionError(
        kind,
        detail,
        http_status=status,
        retry_after=None if failure is None else failure.retry_after,
        rate_limit_headers=None if failure is None else failure.rate_limit_headers,
    )


def _has_text(body: Any) -> bool:
    """Whether a body holds a text, or a piece of one."""
    try:
        return bool(_first(body["choices"])["message"]["content"])
    except (LookupError, ValueError, TypeError, AttributeError):
        return False


def _finish_reason(body: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    """Why a text ended: what says that it is not whole, wherever a server says so; otherwise its finish reason.

    A router hands on what its upstream said (OpenRouter's `native_finish_reason`), others mark a text as `truncated`,
    or what a filter withheld of it (Azure).
    """
    reasons = [
        *("content_filter" for part in (choice, body) for name in FILTER_RESULTS if _is_filtered(part.get(name))),
        *(choice.get(name) for name in ("finish_reason", "native_finish_reason", "stop_reason")),
        _details(choice.get("finish_details")).get("type"),
        body.get("done_reason"),
        _details(body.get("incomplete_details")).get("reason"),
        *("truncated" for part in (choice, body) if part.get("truncated") is True),
        *("incomplete" for part in (choice, body) if part.get("status") == "incomplete"),
    ]
    return why_ended([reason for reason in reasons if reason and isinstance(reason, str)])


def _is_filtered(results: Any, depth: int = 0) -> bool:
    """Whether a filter's results, by category and perhaps by list of words, hold one that withheld something."""
    if isinstance(results, Mapping):
        if results.get("filtered") is True:
            return True
        results = list(results.values())
    return isinstance(results, list) and depth < _MOST_NESTED and any(_is_filtered(each, depth + 1) for each in results)


def _message_of(error: Any) -> str:
    """What an error object says, shortened."""
    said = str(error.get("message") or error) if isinstance(error, Mapping) else str(error or "")
    return storable(said[:300])


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


def _refusal(message: Mapping[str, Any]) -> str | None:
    """What a model says that will not answer: in its own field or as parts. Empty without words, None for no refusal.

    What was written before it is half a text.
    """
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    said = [message.get("refusal"), *(part.get("refusal") for part in parts if isinstance(part, Mapping))]
    refusals = [refusal for refusal in said if refusal]
    return "".join(map(_plain, refusals)) if refusals else None


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
    told = (
        *(reported.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")),
        *(read.get(name) for name in ("cached_tokens", "cache_write_tokens")),
        written.get("reasoning_tokens"),
    )
    counts = [_count(each) for each in told]
    prompt, completion, total, cached, cache_write, reasoning = counts
    impossible = any(count is None and _number(each) is not None for each, count in zip(told, counts, strict=True))
    if prompt is not None and completion is not None and total is not None and total > prompt + completion:
        reasoning = total - prompt - completion if reasoning is None else reasoning
        completion = total - prompt
    parts = (cached, prompt), (cache_write, prompt), (reasoning, completion)
    cached, cache_write, reasoning = (None if _more(*part) else part[0] for part in parts)
    return Usage(
        prompt,
        cached,
        completion,
        reasoning,
        cache_write,
        impossible=impossible or any(_more(*part) for part in parts),
    )


def _more(part: int | None, whole: int | None) -> bool:
    """Whether a part is larger than the whole."""
    return part is not None and whole is not None and part > whole


def _tokens(reported: Any) -> tuple[ReplyToken, ...]:
    """The reply's tokens with what could have stood in their places; empty where that is not reported whole."""
    listed = _details(reported).get("content")
    try:
        return tuple(
            ReplyToken(
                str(token["token"]),
                {str(other["token"]): _logprob(other["logprob"]) for other in (*token["top_logprobs"], token)},
            )
            for token in listed or ()
        )
    except (LookupError, TypeError, ValueError, OverflowError):
        return ()


def _logprob(value: Any) -> float:
    """Raises TypeError, ValueError or OverflowError for what is no logarithm of a probability.

    A little above 0 is what some servers round to.
    """
    if not (number := float(value)) <= _ROUNDED:
        raise ValueError
    return min(number, 0.0)


def _details(reported: Any) -> Mapping[str, Any]:
    return reported if isinstance(reported, Mapping) else {}


def _number(value: Any) -> int | float | None:
    """A number, also one in a string (some gateways'); None for anything else."""
    if isinstance(value, str) and _WRITTEN.fullmatch(value):
        return float(value)
    return value if isinstance(value, int | float) else None


def _count(value: Any) -> int | None:
    """A number of tokens that a call can have; None for anything else."""
    number = _number(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MOST_TOKENS else None
