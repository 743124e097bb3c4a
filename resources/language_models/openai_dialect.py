"""What one endpoint takes of a request, as its refusals tell: learnt once, and sent otherwise from then on.

Servers of one protocol differ: one wants `max_completion_tokens`, another's chat template has no system role, a third
has a context of 2,048 tokens. They are told apart by the first refusal, whatever the address is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any
from urllib.parse import urlsplit

from resources.language_models.openai_context import FEWEST_REPLY_TOKENS, Context
from teams_dagster.core.protocol import CompletionError, ErrorKind, Message, fold_system

LIMIT_PARAMETER = "max_tokens_parameter"
"""Trait: which parameter bounds an answer, where it is not `max_tokens`."""

SYSTEM_ROLE = "system_role"
"""Trait: `FOLDED` where a system message must be part of the user's."""

FOLDED = "folded"

CONTEXT = "context_tokens"
"""Trait: the tokens that prompt and reply may have together, where they were too many once."""

OLD_LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"

NOT_TAKEN = re.compile(
    r"unsupported|(?:not|n['’]t) support|unknown|unrecogni[sz]ed|unexpected|cannot both|does not take|must be|forbidden"
    r"|not (?:permitted|allowed|accepted|available|enabled)|not an? (?:valid|known)|invalid (?:parameter|field)"
    r"|no longer|deprecated|renamed|removed|\binstead\b|rather than|\bonly\b.{0,40}\b(?:allowed|supported)",
    re.IGNORECASE,
)
"""What a refusal says whose parameter, or whose value, the endpoint does not take."""

_OF_SIZE = re.compile(
    r"too (?:large|high|long|small)|at (?:most|least)|(?:less|greater|more) than|exceed|maximum|between|\brange\b"
    r"|\b(?:integer|number|positive)\b|[<>≤≥]",
    re.IGNORECASE,
)
"""What it says where the parameter is taken and its value is not."""

_ROLES = "(?:user|assistant|tool|function|model|developer|or|and)"
_USER = rf"user\b(?!(?:\W+{_ROLES})*\W+system\b)"
"""Who may begin, where the system is none of those named with it."""

_BETWEEN = (
    r"(?:\W+(?:be|is|are|has|have|it|to|use|come|from|of|with|an?|the|one|either|roles?|messages?|starts?|begins?|between"
    r"|alternate|accepts?|allows?|supports?|only)){0,6}\W+"
)
_TURNS = r"(?<!last )\b(?:roles?|messages?|turns?|conversations?|multiturn requests)\b"
_WANTED = r"(?:must|should|has|have|needs?|expected|to be|only|alternate|other than)"

_USER_FIRST = re.compile(
    r"roles must alternate|developer instructions? (?:is|are) not enabled"
    r"|\bonly\b(?!.{0,60}\bsystem\b.{0,60}\broles?\b).{0,60}\broles? (?:is|are) (?:supported|allowed|accepted)"
    rf"|{_TURNS}{_BETWEEN}{_WANTED}{_BETWEEN}{_USER}"
    rf"|\b(?:valid|only){_BETWEEN}{_TURNS}{_BETWEEN}{_USER}|\bvalid roles?{_BETWEEN}{_USER}"
    rf"|\b(?:one of|should be|must be|values are|allowed|expected(?: tags)?|not in)\W*(?!(?:{_ROLES}\W+)+system\b)"
    r"(?:user\W+(?:(?:or|and)\W+)?assistant|assistant\W+(?:(?:or|and)\W+)?user)\b",
    re.IGNORECASE,
)
"""What a template says that takes turns of user and assistant alone (Gemma's, older Mistrals')."""

_SYSTEM_TAKEN = re.compile(r"optional system|system message is optional", re.IGNORECASE)
"""What a template says that takes one, and complains of the turns after it."""

_QUOTE = "[\"'`‘’“”]?"
_SYSTEM = rf"{_QUOTE}\bsystem\b{_QUOTE}"
_ROLE = rf"(?:\broles?\b\W{{1,4}}{_SYSTEM}|{_SYSTEM}[\s_-]roles?\b)"
_TURN = rf"(?:{_ROLE}|{_SYSTEM}[\s_-](?:message|prompt|instruction|turn)s?\b)"
_NOT = r"(?:\bnot|\bno longer|n['’]t|\bcannot|\bnever)(?: be)?"
_FILLING = r"(?:(?:an?|any|the|use|using|of|for|messages?|chat|custom|separate)\W+){0,4}"
_REFUSED_ROLE = "(?:invalid|unknown|unexpected|unrecogni[sz]ed|illegal)"

_NO_SYSTEM_TURN = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_TURN}(?:(?!contain|includ|\bthat\b|\bwhich\b|\bmust\b)[^.;:,\n]){{0,30}}?"
        rf"(?:\bunsupported|\bforbidden|\bdisabled|{_NOT} "
        r"(?:supported|permitted|allowed|accepted|available|enabled|used|possible|(?:an? )?(?:valid|known)))",
        rf"{_ROLE}\W{{1,4}}(?:is |was )?{_REFUSED_ROLE}\b",
        rf"(?:{_NOT} (?:support|allow|accept|take|permit|have|handle|enable)|\bunsupported)\W+{_FILLING}{_TURN}",
        rf"\b{_REFUSED_ROLE}\W+{_FILLING}{_ROLE}",
        rf"\brole\b.{{0,15}}{_NOT} (?:support|allow|accept|permit)(?:t?ed)?(?: yet)?\W+{_SYSTEM}",
        rf"\brole\b.{{0,9}}{_NOT}\W+{_SYSTEM}|不支持\W{{0,4}}{_SYSTEM}",
    )
)
"""How it is said that the system's turn is what an endpoint does not take, by name and in one clause."""

_OF_ANOTHER_KIND = re.compile(
    r"\b(?:longer|too long|length|tokens|characters|overloaded|safety|moderation|polic(?:y|ies)|flagged|blocked"
    r"|violat\w+|harmful)\b",
    re.IGNORECASE,
)
"""What a refusal speaks of that is about one text: its length, or what it says."""

_REPEATED_TURN = re.compile(r"\{[^{}]*[\"']role[\"']\s*:[^{}]*\}?")
_REPEATED_LIMIT = re.compile(rf"[,{{]\s*[\"']?{OLD_LIMIT}[\"']?\s*[:=]\s*\d+")
"""How a refusal writes what it repeats of a request, beside the request's own texts."""

_OF_AN_ACCOUNT = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.DENIED})
"""Refusals that speak of a minute's limits, or of what a key may do."""

_FEWEST_REPEATED = 12
"""Characters of a text that are no accident: fewer may be a word, or a part of a number, of the refusal's own."""


def has_no_system_role(said: str) -> bool:
    """Whether a refusal says that a conversation may have no system turn: by name, or that it begins with the user's.

    A system message that is too long, and a text that a safety system does not let pass, are another trouble.
    """
    if _SYSTEM_TAKEN.search(said):
        return False
    if _USER_FIRST.search(said):
        return True
    return _OF_ANOTHER_KIND.search(said) is None and any(form.search(said) for form in _NO_SYSTEM_TURN)


def _own_words(said: str, body: Mapping[str, Any]) -> str:
    """A refusal without what it repeats of the request, which would be read as if the endpoint had said it."""
    for message in body["messages"]:
        text = message["content"]
        for written in (text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            said = _without(said, written)
    return _REPEATED_LIMIT.sub("", _REPEATED_TURN.sub("", said))


def _without(said: str, text: str) -> str:
    """`said` without each place that has `text`, or as much of its beginning as a repetition that was cut short."""
    opening = text[: 2 * _FEWEST_REPEATED]
    while len(opening) >= _FEWEST_REPEATED and (at := said.find(opening)) >= 0:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(said[at:], text, strict=False))
        said = said[:at] + said[at + sum(1 for _ in alike) :]
    return said


class Dialect:
    """How requests to one endpoint are written. It learns from refusals; what it learnt can be kept elsewhere."""

    def __init__(self, base_url: str) -> None:
        """OpenAI's own address is known to want `max_completion_tokens`."""
        self._limit = NEW_LIMIT if urlsplit(base_url).hostname == "api.openai.com" else OLD_LIMIT
        self._folds = False
        self._context = Context()
        self._record: Callable[[str, str], object] | None = None
        self._record_limit: Callable[[str, int], object] | None = None

    def keep(
        self,
        traits: Mapping[str, str],
        record: Callable[[str, str], object],
        record_limit: Callable[[str, int], object],
    ) -> None:
        """Go on from `traits` learnt before; `record`, or `record_limit`, is called with what is learnt from now on."""
        self._limit = traits.get(LIMIT_PARAMETER, self._limit)
        self._folds = self._folds or traits.get(SYSTEM_ROLE) == FOLDED
        if CONTEXT in traits:
            self._context.tokens = int(traits[CONTEXT])
        self._record, self._record_limit = record, record_limit

    def written(self, messages: tuple[Message, ...], max_tokens: int) -> dict[str, Any]:
        """The messages and the limit of a request body: no more than a context leaves that is known."""
        shown = fold_system(messages) if self._folds else messages
        turns = [{"role": m.role, "content": m.content} for m in shown]
        room = self._context.room(turns)
        return {"messages": turns, self._limit: max_tokens if room is None else max(1, min(max_tokens, room))}

    def too_long(self, body: Mapping[str, Any], max_tokens: int) -> CompletionError | None:
        """Why `body`, which asks for `max_tokens`, is not worth sending: the context that is known is too small."""
        room = self._context.room(body["messages"])
        return None if room is None or room >= min(FEWEST_REPLY_TOKENS, max_tokens) else self._prompt_too_long(body)

    def _prompt_too_long(self, body: Mapping[str, Any], http_status: int | None = None) -> CompletionError:
        prompt = self._context.estimated(body["messages"])
        return CompletionError(
            ErrorKind.TOO_LONG,
            f"the prompt takes about {prompt:,} tokens, and prompt and reply together have {self._context.tokens:,} at"
            " the role's _BASE_URL, as it once said: set that and _MODEL to one with a longer context, or serve it with"
            " one (llama.cpp: --ctx-size, vLLM: --max-model-len, Ollama: num_ctx) and delete its context_tokens from"
            " the ledger's table endpoint_traits",
            http_status=http_status,
        )

    def adapted(self, error: CompletionError, body: Mapping[str, Any]) -> CompletionError:
        """`error` as it is; or as one after which the request is written otherwise and asked again.

        `body` is what was refused: another request may have taught the same meanwhile.
        """
        if error.http_status is None or error.http_status < 400 or error.kind in _OF_AN_ACCOUNT:
            return error
        said = _own_words(error.detail, body)
        learnt = _learnt(said, body)
        if learnt is None:
            return self._adapted_to_context(error, body, said)
        trait, value = learnt
        news = (self._limit != value) if trait == LIMIT_PARAMETER else not self._folds
        if trait == LIMIT_PARAMETER:
            self._limit = value
        else:
            self._folds = True
        if news and self._record is not None:
            self._record(trait, value)
        return CompletionError(error.kind, error.detail, http_status=error.http_status, adapted=True)

    def _adapted_to_context(self, error: CompletionError, body: Mapping[str, Any], said: str) -> CompletionError:
        """A refusal that names a context: the reply is bounded by what is left of it, if that is worth a query."""
        before, asked = self._context.tokens, body.get(self._limit)
        if not self._context.learn(said, body["messages"], asked):
            return error
        if self._context.tokens is not None and self._context.tokens != before and self._record_limit is not None:
            self._record_limit(CONTEXT, self._context.tokens)
        room = self._context.room(body["messages"])
        if room is None or asked is None or room >= asked:
            return error
        if room >= min(FEWEST_REPLY_TOKENS, asked):
            return CompletionError(error.kind, error.detail, http_status=error.http_status, adapted=True)
        return self._prompt_too_long(body, error.http_status)


def _learnt(said: str, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The trait that a refusal of `body` tells, with its value; None where it tells none."""
    refused = re.search(rf"\b{OLD_LIMIT}\b", said) and NOT_TAKEN.search(said) and not _OF_SIZE.search(said)
    if OLD_LIMIT in body and refused:
        return LIMIT_PARAMETER, NEW_LIMIT
    messages = body["messages"]
    if len(messages) > 1 and messages[0]["role"] == "system" and has_no_system_role(said):
        return SYSTEM_ROLE, FOLDED
    return None
