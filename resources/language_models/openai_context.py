"""How many tokens an endpoint's context holds, as its refusals tell, and what of it a prompt leaves for a reply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from teams_dagster.instructions.seed_rows import about_tokens

FEWEST_REPLY_TOKENS = 16
"""A reply that has less room than this, and than it asks for, is not worth a query."""

_OTHER_UNITS = r"(?:char|byte|[kmg]i?b\b|message|request|image|item|second|minute|word|%)"
_NUMBER = rf"(\d[\d,]*[km]?)\b(?!\.\d)(?!(?: tokens?)? ?[+>])(?! ?{_OTHER_UNITS})"
"""Of tokens; what is added, or compared with a limit, is none."""

_COUNT = r"(\d[\d,]*[km]?)\b"

_IS = r"(?:[\s:=(\['\"`]|\b(?:is|are|of|only|at|to|set|currently)\b)*"

_CONTEXT = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?:context|sequence|seq|model)[ _](?:size|length|window|limit|len)\b(?:=[a-z]\w*)*{_IS}{_NUMBER}",
        rf"{_NUMBER} (?:tokens? )?(?:as )?maximum context",
        rf"context\b[^.\d]{{0,30}} is {_NUMBER} tokens",
        rf"(?:\+|\bsum\b|\btotal (?:number of )?tokens\b)[^.<>]{{0,60}}?(?:<=|>|exceed|below|less than){_IS}{_NUMBER}",
        rf"\bn_ctx\b\W{{1,4}}{_NUMBER}",
    )
)
"""How refusals name the size of a context, which prompt and reply have together."""

_LIMIT = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"\b(?:limit|max(?:imum)?)\b(?:[ _](?:size|allowed|number|of|for|this|the|model|prompt|input|length|tokens?))*"
        rf"{_IS}{_NUMBER}",
        rf"{_COUNT}(?: tokens)? > {_NUMBER}",
        rf"(?:less|fewer) than {_NUMBER} tokens",
        rf"input length[^.\d]{{0,20}}\[\d+, ?{_NUMBER}",
    )
)
"""How they name a limit where no context is named: that of prompts."""

_OF_LENGTH = re.compile(r"token|context|\blength\b|too l(?:ong|arge)|\bn_ctx\b|>", re.IGNORECASE)
"""What a refusal for length speaks of."""

_OF_ANOTHER_KIND = re.compile(
    r"(?:number of|at most \d+) (?:output|completion|new)[ _]tokens|tokens you requested|\bper[ -](?:min|day|sec|hour)"
    r"|\b[TR]P[MDHS]\b",
    re.IGNORECASE,
)
"""What it says of a limit on replies alone, or on a minute's tokens."""

_PROMPT = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_COUNT} (?:tokens )?(?:(?:in|from|of) )?(?:(?:the|your|text) )*`?(?:input|messages|prompt)",
        rf"{_COUNT} \+ \d",
        rf"first {_COUNT} tokens",
        rf"\b(?:prompt|input|request|messages|current)s?\b[^.\d>]{{0,30}}?{_COUNT}",
    )
)
"""How they name the length of the prompt."""

_BEYOND = re.compile(rf"exceed(?:s|ed)? (?:the )?max(?:imum)? context length by {_NUMBER}", re.IGNORECASE)
"""Ollama: by how much a prompt is longer than the context, whose size it does not say."""

_AT_LEAST = "at least "
"""vLLM: it counted no further than to where the prompt was too long."""

_FAR_OFF = 8.0
"""No tokenizer is so many times off the estimate: then a number is of something else."""

_MARGIN = 1.25
"""What a prompt may take beyond the estimate, until a refusal told how far that was off."""

_LEARNT_MARGIN = 1.1
"""The same once it did: other prompts are other texts."""

_TELLING = 200
"""Tokens of a prompt from which on its refusal tells how far estimates are off."""

_OF_A_MESSAGE = 8
"""Tokens that a chat template writes around each message, at most."""


class Context:
    """The context of one endpoint; of unknown size until a refusal tells."""

    def __init__(self) -> None:
        self.tokens: int | None = None
        self._scale, self._scale_learnt = _MARGIN, False
        self._longer: dict[int, int] = {}
        """Prompts that were refused within the estimate, and what they take at least."""

    def estimated(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """About how many tokens a prompt takes at most, by this endpoint's tokenizer as far as it is known."""
        longer = self._longer.get(_key(messages), 0) if self._longer else 0
        return max(longer, round(_plainly(messages) * self._scale))

    def room(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        """The tokens that a prompt leaves for a reply, 0 or less for none; None where the size is not known."""
        return None if self.tokens is None else self.tokens - self.estimated(messages)

    def learn(self, said: str, messages: Sequence[Mapping[str, Any]], asked: int | None) -> bool:
        """Learn from a refusal of `messages` and of a reply of `asked` tokens; returns whether it names a context."""
        size, plainly = _size(said), _plainly(messages)
        beyond = next(_numbers(_BEYOND, said), None)
        if size is None and beyond is not None:
            size = round(plainly) - beyond[1]  # the estimate is what there is
        if size is None or size <= 0:
            return False
        self.tokens = size if self.tokens is None else min(size, self.tokens)
        if prompt := _prompt(said, plainly, self.tokens):
            self._learn_scale(prompt, plainly)
        fitted = asked is not None and asked <= self.tokens - self.estimated(messages)
        if asked is not None and fitted and self.tokens - asked <= plainly * _FAR_OFF:
            self._longer[_key(messages)] = self.tokens - asked // 2
        return True

    def _learn_scale(self, prompt: int, estimated: float) -> None:
        """A short prompt is mostly its turns: how a tokenizer reads text is told by a long one, or by one beyond."""
        scale = prompt / estimated * _LEARNT_MARGIN
        if scale > self._scale or (not self._scale_learnt and estimated >= _TELLING):
            self._scale, self._scale_learnt = scale, True


def _plainly(messages: Sequence[Mapping[str, Any]]) -> float:
    """The estimate that knows of no tokenizer."""
    return sum(about_tokens(message["content"]) + _OF_A_MESSAGE for message in messages)


def _key(messages: Sequence[Mapping[str, Any]]) -> int:
    return hash(tuple(message["content"] for message in messages))


def _prompt(said: str, estimated: float, context: int) -> int | None:
    """The length of a prompt, where a refusal tells it, and not only that it is at least so long."""
    found = (number for form in _PROMPT for number in _numbers(form, said))
    counted = (prompt for at, prompt in found if not said[:at].endswith(_AT_LEAST) and prompt != context)
    return next((prompt for prompt in counted if 1 / _FAR_OFF <= prompt / estimated <= _FAR_OFF), None)


def _size(said: str) -> int | None:
    """The smallest context, or else the smallest limit, that a refusal names; None for none."""
    if not _OF_LENGTH.search(said) or _OF_ANOTHER_KIND.search(said):
        return None
    for forms in (_CONTEXT, _LIMIT):
        sizes = [size for form in forms for _, size in _numbers(form, said)]
        if sizes:
            return min(sizes)
    return None


_THOUSANDS = {"k": 1_000, "m": 1_000_000}


def _numbers(form: re.Pattern[str], said: str) -> Iterator[tuple[int, int]]:
    """Where a form finds numbers, and which; nobody counts with twenty digits."""
    for match in form.finditer(said):
        written = match[match.lastindex or 0].replace(",", "").lower()
        digits = written.rstrip("km")
        if len(digits) < 20 and int(digits) > 0:
            yield match.start(match.lastindex or 0), int(digits) * _THOUSANDS.get(written[-1], 1)
