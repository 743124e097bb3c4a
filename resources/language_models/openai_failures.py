"""The failure that a response of an OpenAI-compatible endpoint stands for which is no success."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from resources.language_models.openai_dialect import NOT_TAKEN
from resources.language_models.openai_errors import EXHAUSTED, SaidError, context_fields, read_error, refused_parameter
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

_BAD_REQUEST = frozenset({400, 422})
"""What some answer to a wrong key, or to a model that they do not have: what their error says counts."""

_LOGPROBS = re.compile(r"\blogprobs\b", re.IGNORECASE)
"""OpenAI answers 403 where a reasoning model is asked for them: it refuses the request, and not the key."""

_OF_THE_DAY = re.compile(
    r"\b(?:per|a|each|every|of the|this|current|for the)[ -](?:day|hour|24[ -]h\w*)\b|\b\d+[ -](?:days?|hours?)\b"
    r"|\bhourly\b|\bdaily\b|\btoday\b|\bRP[DH]\b|\bTP[DH]\b|\bmidnight\b|\btomorrow\b|/day\b"
    r"|[每当當本]日|每天|今天|今日|日額|일일|오늘",
    re.IGNORECASE,
)
"""Limits that no run waits for: what a provider that says so without `Retry-After` refuses today is used up."""

_OF_LONGER = re.compile(
    r"\b(?:per|a|each|every|of the|this|current|for the)[ -](?:week|month|year|billing (?:period|cycle)|quarter)\b"
    r"|\bweekly\b|\bmonthly\b|\byearly\b|\bannual\b|\bbilling (?:cycle|period)\b|/month\b|[本每]月|[本每]周|월간|주간"
    r"|\"quotaId\"\s*:\s*\"[^\"]*PerDay",
    re.IGNORECASE,
)
"""The same whatever pause is asked for: a week has no end in a minute, nor has a day of Google's (which asks for some
seconds)."""

_USED_UP = re.compile(
    r"\bquota\b.{0,80}\b(?:exceeded|exhausted|reached|used up|over|depleted)\b|\busage limit\b|配额|額度|额度|余额"
    r"|\b(?:credits?|balance|funds)\b.{0,40}\b(?:exhausted|used up|depleted|too low|ran out)\b|欠费|充值"
    r"|\b(?:exceed\w*|exhaust\w*|reached|run into|used up|over|out of|no|insufficient)\b.{0,40}"
    r"\b(?:quota|credits?|balance|(?:usage|spend\w*|budget|plan) limit)\b",
    re.IGNORECASE,
)
"""What is said of an account with nothing left, and of a minute's limit as well, which is then named."""

_OF_A_MINUTE = re.compile(
    r"\b(?:per|a|each)[ -]?(?:minute|min|second|sec)\b|PerMinute|PerSecond|\b[RTIO]P[MS]\b", re.IGNORECASE
)

_FILTERED = re.compile(
    r"content_filter|content_policy|content management policy|ResponsibleAI|data_inspection|Content Exists Risk"
    r"|\bmoderation\b|safety system|inappropriate content",
    re.IGNORECASE,
)
"""What is said of a text that is not answered for what it says (OpenAI, Azure, Alibaba, DeepSeek)."""

_TOO_LONG = re.compile(
    r"context.{0,20}\b(?:length|window|size)|maximum context|context of this model|\bn_ctx\b|exceed.{0,40}\bcontext"
    r"|max_(?:completion_)?tokens.{0,40}(?:too (?:large|high|long)|must be)|at most \d+ (?:completion )?tokens"
    r"|input is too long|reduce the length|exceeds max(?:imum)? length|too many tokens",
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
        elif _FILTERED.search(said.text):
            hint = f" (a filter refuses the text: look at what TEAMS_SEEDS asks for, and at {ROLE_VARIABLES}MODEL)"
        elif _TOO_LONG.search(said.text):
            hint = (
                f" (tokens of an answer are bounded by {ROLE_VARIABLES}MAX_TOKENS; how long a prompt may be is a matter"
                f" of {ROLE_VARIABLES}MODEL)"
            )
    parameter = refused_parameter(said)
    about = "" if parameter in said.message else f" ({parameter})"
    about += "".join(f" ({name} {size})" for name, size in context_fields(said).items() if name not in said.message)
    return CompletionError(
        kind,
        f"HTTP {http_status}: {storable(said.message[:1_000])}{about}{hint}",
        http_status=http_status,
        retry_after=retry_after,
        rate_limit_headers=None if headers is None else read_rate_limit_headers(headers),
    )


def _kind(status: int, said: SaidError, *, has_end: bool = False) -> ErrorKind:
    """What kind of failure a status and a body are; `has_end` says that the server told when to come back."""
    if status >= 500:
        return _OTHER_STATUS.get(status, ErrorKind.SERVER)
    if status == 429:
        return ErrorKind.DENIED if _is_exhausted(said, has_end=has_end) else ErrorKind.RATE_LIMITED
    if status == 403 and _LOGPROBS.search(said.message):
        return ErrorKind.REJECTED
    status_said = said.status if status in _BAD_REQUEST else status
    if status_said in _DENIED_STATUS or said.codes & _DENIED_CODES:
        return ErrorKind.DENIED
    return _OTHER_STATUS.get(status, ErrorKind.REJECTED)


def _is_exhausted(said: SaidError, *, has_end: bool) -> bool:
    """Whether a limit that is reached lets nothing through for longer than a run waits."""
    if said.codes & EXHAUSTED:
        return True
    if _OF_A_MINUTE.search(said.text) is not None:  # what is said beside it is of the plans that one can buy
        return False
    if _OF_LONGER.search(f"{said.text}\n{said.message}") is not None:
        return True
    return not has_end and any(form.search(said.message) is not None for form in (_USED_UP, _OF_THE_DAY))


def _hint_on_parameters(said: SaidError, omitted: Collection[str], extra: Collection[str]) -> str:
    """What to do about a parameter that the endpoint does not take; nothing where none is named."""
    if not NOT_TAKEN.search(said.text):
        return ""
    added = [name for name in extra if re.search(rf"\b{re.escape(name)}\b", said.text)]
    if added:
        return f" (set {ROLE_VARIABLES}EXTRA without {', '.join(added)})"
    named = [name for name in OMITTABLE if name not in omitted and re.search(rf"\b{name}\b", said.text)]
    return f" (to ask this endpoint without: set {ROLE_VARIABLES}OMIT={','.join(named)})" if named else ""
