"""How many tokens an endpoint's context holds, as its refusals tell, and what of it a prompt leaves for a reply."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from teams_dagster.instructions.seed_rows import about_tokens

FEWEST_REPLY_TOKENS = 16
"""A reply that has less room than this, and than it asks for, is not worth a query."""

_NUMBER = r"(\d[\d,]*)"

_CONTEXT = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"maximum (?:context|model|sequence) length(?: is| of| :|:) ?{_NUMBER}",  # OpenAI, vLLM, SGLang, Fireworks
        rf"max_model_len(?:=\w+)*=?[ (=]{_NUMBER}",  # vLLM
        rf"context (?:size|length|window) (?:of (?:only )?)?\(?{_NUMBER}",  # llama.cpp, LM Studio
        rf"{_NUMBER} (?:tokens? )?(?:as )?maximum context",  # Mistral
        rf"context\b[^.\d]{{0,30}} is {_NUMBER} tokens",  # gateways
        rf"max_new_tokens\b[^.\d]{{1,20}}must be <= ?{_NUMBER}",  # Text Generation Inference, Together
        rf"(?:number of tokens allowed|tokens in the prompt cannot exceed) \(?{_NUMBER}",  # Google, Cohere
        rf"tokens > {_NUMBER} maximum",  # Anthropic
        rf"\bn_ctx\b\D{{1,4}}{_NUMBER}",  # llama.cpp's fields
        rf"must be less than max_seq_len \({_NUMBER}\)",
    )
)
"""How refusals name the size of a context."""

_PROMPT = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_NUMBER} (?:tokens )?(?:in|from|of) (?:(?:the|your) )?(?:input )?(?:messages|prompt)",  # OpenAI, SGLang
        rf"{_NUMBER} input tokens",  # vLLM, Together
        rf"input token count \({_NUMBER}",  # Google
        rf"(?:prompt|request) \((?:length )?{_NUMBER}",  # vLLM, llama.cpp
        rf"prompt (?:contains|is too long:|has) {_NUMBER}",  # Mistral, Anthropic
        rf"given: {_NUMBER} `inputs`",  # Text Generation Inference
        rf"first {_NUMBER} tokens",  # LM Studio
        rf"prompt_tokens \({_NUMBER}\)",
    )
)
"""How they name the length of the prompt."""

_BEYOND = re.compile(rf"exceed(?:s|ed)? (?:the )?max(?:imum)? context length by {_NUMBER}", re.IGNORECASE)
"""Ollama: by how much a prompt is longer than the context, whose size it does not say."""

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

    def estimated(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """About how many tokens a prompt takes at most, by this endpoint's tokenizer as far as it is known."""
        return round(_plainly(messages) * self._scale)

    def room(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        """The tokens that a prompt leaves for a reply, 0 or less for none; None where the size is not known."""
        return None if self.tokens is None else self.tokens - self.estimated(messages)

    def learn(self, said: str, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Learn from a refusal of `messages`; returns whether it names a context."""
        prompt, beyond = _first(_PROMPT, said), _first((_BEYOND,), said)
        size = min((size for form in _CONTEXT for size in _all(form, said)), default=None)
        if size is None and beyond is not None:
            size = round(_plainly(messages)) - beyond  # the estimate is what there is
        if size is None or size <= 0:
            return False
        self.tokens = size if self.tokens is None else min(size, self.tokens)
        if prompt:
            self._learn_scale(prompt, _plainly(messages))
        return True

    def _learn_scale(self, prompt: int, estimated: float) -> None:
        """A short prompt is mostly its turns: how a tokenizer reads text is told by a long one, or by one beyond."""
        scale = prompt / estimated * _LEARNT_MARGIN
        if scale > self._scale or (not self._scale_learnt and estimated >= _TELLING):
            self._scale, self._scale_learnt = scale, True


def _plainly(messages: Sequence[Mapping[str, Any]]) -> float:
    """The estimate that knows of no tokenizer."""
    return sum(about_tokens(message["content"]) + _OF_A_MESSAGE for message in messages)


def _first(forms: Sequence[re.Pattern[str]], said: str) -> int | None:
    return next((number for form in forms for number in _all(form, said)), None)


def _all(form: re.Pattern[str], said: str) -> Iterator[int]:
    """The numbers that a form finds; a refusal may name several limits, and nobody counts with twenty digits."""
    for match in form.finditer(said):
        digits = match[1].replace(",", "")
        if len(digits) < 20 and int(digits) > 0:
            yield int(digits)
