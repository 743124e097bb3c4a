"""The failure that a response of an OpenAI-compatible endpoint stands for which is no success."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from resources.language_models.openai_dialect import NOT_TAKEN
from resources.language_models.openai_errors import EXHAUSTED, SaidError, read_error
from resources.language_models.openai_waits import asked_pause_s, read_rate_limit_headers
from teams_dagster.core.protocol import ROLE_VARIABLES, CompletionError, ErrorKind
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

_DENIED_CODES = frozenset({"invalid_api_key", "model_not_found", "invalid_model"}) | EXHAUSTED

_BAD_REQUEST = 400
"""What some answer to a wrong key: what their error says counts."""

_LOGPROBS = re.compile(r"\blogprobs\b", re.IGNORECASE)
"""OpenAI answers 403 where a reasoning model is asked for them: it refuses the request, and not the key."""

_LONG_WINDOW = re.compile(
    r"\b(?:per[ _-]?|of the |this |each |every |current |/ ?)(?:day|week|month|billing (?:period|cycle))(?![a-z])"
    r"|\b(?:24|12)[ -]?h(?:ou)?rs?\b"
    r"|\b(?:daily|weekly|monthly|today'?s|tomorrow|midnight|RPD|TPD|RPW|TPW)\b"
    r"|[今每当本单][日天周月]|一天",
    re.IGNORECASE,
)
"""Limits that no run waits for: what a provider that says so without `Retry-After` refuses now is used up."""

_USED_UP = re.compile(
    r"\b(?:plan and billing|billing (?:details|settings)|hard limit|spend(?:ing)? (?:limit|cap)|usage cap"
    r"|(?:out of|no more|insufficient|not enough|used up|exhausted|purchase|add|buy|top up)\b.{0,30}"
    r"\b(?:credits?|balance|funds|quota)"
    r"|(?:credits?|balance|funds|quota|tokens)\b.{0,20}\b(?:exhausted|used up|depleted|is empty|ran out)"
    r"|upgrade (?:your|to a) .{0,20}plan|free tier (?:limit|quota) (?:reached|exceeded))"
    r"|余额不足|欠费|额度.{0,4}(?:用完|用尽|耗尽|不足)|充值",
    re.IGNORECASE,
)
"""An account that no wait refills, in words."""

_SHORT_WINDOW = re.compile(
    r"\b(?:per[ _-]?|a |each |/ ?)(?:second|minute)|PerMinute|PerSecond|\b(?:RPM|TPM|QPS|QPM)\b|\b(?:in )?a moment\b"
    r"|\bshortly\b|每分钟|每秒|稍后",
    re.IGNORECASE,
)
"""A limit that a run waits for, whatever is said of plans beside it."""

_TOO_LONG = re.compile(
    r"context.{0,20}\b(?:length|window|size)|maximum context|context of this model|\bn_ctx\b|exceed.{0,40}\bcontext"
    r"|max_(?:completion_)?tokens.{0,40}(?:too (?:large|high|long)|must be)|at most \d+ (?:completion )?tokens",
    re.IGNORECASE,
)
"""What a refusal says of a prompt and an answer that do not fit together."""


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
    said = read_error(content.decode("utf-8", "replace"))
    retry_after = asked_pause_s(headers, said.message, said.body, http_status)
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


def _kind(status: int, said: SaidError, *, has_end: bool = False) -> ErrorKind:
    """What kind of failure a status and a body are; `has_end` says that the server told when to come back."""
    if status >= 500:
        return _OTHER_STATUS.get(status, ErrorKind.SERVER)
    if status == 429:
        exhausted = said.codes & EXHAUSTED or (not has_end and _is_used_up(said))
        return ErrorKind.DENIED if exhausted else ErrorKind.RATE_LIMITED
    if status == 403 and _LOGPROBS.search(said.message):
        return ErrorKind.REJECTED
    status_said = said.status if status == _BAD_REQUEST else status
    if status_said in _DENIED_STATUS or said.codes & _DENIED_CODES:
        return ErrorKind.DENIED
    return _OTHER_STATUS.get(status, ErrorKind.REJECTED)


def _is_used_up(said: SaidError) -> bool:
    """Whether a refusal that names no end is of a limit that no run waits for."""
    if _LONG_WINDOW.search(said.message):
        return True
    return bool(_USED_UP.search(said.message)) and not _SHORT_WINDOW.search(said.text)


def _hint_on_parameters(said: SaidError, omitted: Collection[str], extra: Collection[str]) -> str:
    """What to do about a parameter that the endpoint does not take; nothing where none is named."""
    if not NOT_TAKEN.search(said.text):
        return ""
    added = [name for name in extra if re.search(rf"\b{re.escape(name)}\b", said.text)]
    if added:
        return f" (set {ROLE_VARIABLES}EXTRA without {', '.join(added)})"
    named = [name for name in OMITTABLE if name not in omitted and re.search(rf"\b{name}\b", said.text)]
    return f" (to ask this endpoint without: set {ROLE_VARIABLES}OMIT={','.join(named)})" if named else ""
