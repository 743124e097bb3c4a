"""Who guides: a local model that shares the learner's tokens, or a black box that goes on with a text.

Only what a guide writes is used, never its probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from teams_dagster.rlgf.config import DecodingConfig
from teams_dagster.rlgf.sampling import Begun, Vocabulary, sample
from teams_dagster.student.chat import decoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Writer(Protocol):
    """Who goes on with texts: the guide, and the learner itself."""

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        """What follows each of `begun`: at least one token, at most its room, with the end token where it ended."""
        ...


@dataclass(frozen=True)
class LocalWriter:
    """A causal language model."""

    using: Callable[[], AbstractContextManager[Any]]
    """Gives the model, with the weights that write."""
    vocabulary: Vocabulary
    decoding: DecodingConfig
    at_once: int

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        with self.using() as model:
            return sample(model, begun, self.vocabulary, self.decoding, at_once=self.at_once)


@dataclass(frozen=True)
class Question:
    """What a black-box guide is asked."""

    prompt: str
    begun: str
    """The text so far; it may be empty."""
    room: int
    """Tokens that may follow, in the learner's tokens."""
    key: str
    """The same question with another key is to be answered afresh."""


@dataclass
class Counts:
    """How a black-box guide answered."""

    asked: int = 0
    repeated: int = 0
    """Replies that began with what was there."""
    silent: int = 0
    """Replies without a token: the text ends where it was."""


@dataclass
class BlackBoxGuide:
    """A guide of which only text is seen, such as a model behind an endpoint.

    It is given prompts with what is written so far. One that repeats both, or what is written alone, before it goes on
    is understood: the repetition is dropped, and counted.
    """

    ask: Callable[[Sequence[Question]], Sequence[str]]
    """What follows each beginning."""
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    counts: Counts = field(default_factory=Counts)

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        questions = [
            Question(self._text(text.prompt), self._text(text.tokens), text.room, "/".join(map(str, text.key)))
            for text in begun
        ]
        replies = self.ask(questions)
        return [
            self._tokens(question, reply, text.room)
            for question, reply, text in zip(questions, replies, begun, strict=True)
        ]

    def _text(self, tokens: Sequence[int]) -> str:
        return decoded(self.tokenizer, tokens, skip_special_tokens=True)

    def _tokens(self, question: Question, reply: str, room: int) -> tuple[int, ...]:
        """The reply's tokens; where it fits it ended, and the end token follows."""
        self.counts.asked += 1
        rests = (_rest(reply, said) for said in (question.prompt + question.begun, question.begun))
        rest = next((rest for rest in rests if rest is not None), None)
        self.counts.repeated += rest is not None
        reply = reply if rest is None else rest
        tokens = tuple(self.tokenizer(reply, add_special_tokens=False)["input_ids"])
        self.counts.silent += not tokens
        return (*tokens, min(self.vocabulary.ends))[:room]


def _rest(reply: str, said: str) -> str | None:
    """What follows `said` in a reply that repeats it; None where it does not."""
    start, told = said.strip(), reply.lstrip()
    if not start or not told.startswith(start):
        return None
    rest = told[len(start) :]
    if rest and (start[-1] + rest[0]).isalnum() and len(start.split()) == 1:
        return None  # a longer word that begins alike; several words that are the same are a repetition
    return rest.lstrip() if said[-1].isspace() else rest
