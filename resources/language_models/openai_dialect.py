"""What one endpoint takes of a request, as its refusals tell: learnt once, and sent otherwise from then on.

Servers of one protocol differ: one wants `max_completion_tokens`, another's chat template has no system role. Both are
told apart by the first refusal, whatever the address is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from teams_dagster.core.protocol import CompletionError, Message, fold_system

LIMIT_PARAMETER = "max_tokens_parameter"
"""Trait: which parameter bounds an answer, where it is not `max_tokens`."""

SYSTEM_ROLE = "system_role"
"""Trait: `FOLDED` where a system message must be part of the user's."""

FOLDED = "folded"

OLD_LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"

NOT_TAKEN = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|cannot both|does not take"
    r"|must be|\bonly\b.{0,40}\b(?:allowed|supported)",
    re.IGNORECASE,
)
"""What a refusal says whose parameter, or whose value, the endpoint does not take."""

_OF_SIZE = re.compile(
    r"too (?:large|high|long|small)|at (?:most|least)|(?:less|greater|more) than|exceed|maximum", re.IGNORECASE
)
"""What it says where the parameter is taken and its value is not."""

NO_SYSTEM = re.compile(
    r"system.{0,20}\brole.{0,40}not supported|system (?:messages?|role|prompts?)\b.{0,40}\bnot (?:supported|allowed)"
    r"|\bnot support.{0,40}\bsystem\b|unsupported.{0,20}\bsystem\b|only user and assistant roles|roles must alternate",
    re.IGNORECASE,
)
"""What Gemma's and older Mistrals' templates say, and servers in front of them."""


class Dialect:
    """How requests to one endpoint are written. It learns from refusals; what it learnt can be kept elsewhere."""

    def __init__(self, base_url: str) -> None:
        """OpenAI's own address is known to want `max_completion_tokens`."""
        self._limit = NEW_LIMIT if urlsplit(base_url).hostname == "api.openai.com" else OLD_LIMIT
        self._folds = False
        self._record: Callable[[str, str], object] | None = None

    def keep(self, traits: Mapping[str, str], record: Callable[[str, str], object]) -> None:
        """Go on from `traits` learnt before; `record` is called with what is learnt from now on."""
        self._limit = traits.get(LIMIT_PARAMETER, self._limit)
        self._folds = self._folds or traits.get(SYSTEM_ROLE) == FOLDED
        self._record = record

    def written(self, messages: tuple[Message, ...], max_tokens: int) -> dict[str, Any]:
        """The messages and the limit of a request body."""
        shown = fold_system(messages) if self._folds else messages
        return {"messages": [{"role": m.role, "content": m.content} for m in shown], self._limit: max_tokens}

    def adapted(self, error: CompletionError, body: Mapping[str, Any]) -> CompletionError:
        """`error` as it is; or as one after which the request is written otherwise and asked again.

        `body` is what was refused: another request may have taught the same meanwhile.
        """
        learnt = _learnt(error.detail, body) if error.http_status is not None and error.http_status >= 400 else None
        if learnt is None:
            return error
        trait, value = learnt
        news = (self._limit != value) if trait == LIMIT_PARAMETER else not self._folds
        if trait == LIMIT_PARAMETER:
            self._limit = value
        else:
            self._folds = True
        if news and self._record is not None:
            self._record(trait, value)
        return CompletionError(error.kind, error.detail, http_status=error.http_status, adapted=True)


def _learnt(said: str, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The trait that a refusal of `body` tells, with its value; None where it tells none."""
    refused = re.search(rf"\b{OLD_LIMIT}\b", said) and NOT_TAKEN.search(said) and not _OF_SIZE.search(said)
    if OLD_LIMIT in body and refused:
        return LIMIT_PARAMETER, NEW_LIMIT
    messages = body["messages"]
    if len(messages) > 1 and messages[0]["role"] == "system" and NO_SYSTEM.search(said):
        return SYSTEM_ROLE, FOLDED
    return None
