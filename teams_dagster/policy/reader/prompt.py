"""A state as a prompt that ends where the operation's name is to come, in tokens.

The operations are told first, then the text and its input, last what was tried: what changes from step to step stands
nearest to the answer. Operations add to a text at its end, so a long one is shown by its two ends.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.text import words
from teams_dagster.core.threads import one_thread
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.state import HORIZON, PastOperation, State
from teams_dagster.policy.encoder import Encoder
from teams_dagster.policy.features import MAX_CHARACTERS
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.reader.names import NO_TOKEN, Names

if TYPE_CHECKING:
    from teams_dagster.policy.reader.base import LanguageModelBase

_HEAD = f"Operations: {', '.join(words(operation.value) for operation in Operation)}.\nInstruction:"
_GAP, _INPUT, _TRIED, _NOTHING, _TAIL = " ...", "\nInput:", "\nStep {step} of {steps}. Tried:", " nothing", "\nNext:"
_OUTCOMES = {True: "accepted", False: "refused"}


class PromptReader:
    """States to vectors: the prompt's tokens, filled up on the left; the names' offsets; the critic's features."""

    def __init__(self, config: LanguageModelReaderConfig, base: LanguageModelBase, features: Encoder) -> None:
        self.config, self.base, self._features = config, base, features
        self.names = Names([base.tokens(f" {words(operation.value)}") for operation in Operation])
        self.width = self._longest()
        """Columns of the prompt."""
        self.critic_size = features.size
        """Columns of the features, the last ones."""
        self.size = self.width + self.names.count + self.critic_size
        self.base_version, self.is_small = base.version, base.is_small
        self.version = content_hash(
            "prompt reader",
            1,
            [_HEAD, _GAP, _INPUT, _TRIED, _NOTHING, _TAIL],
            [config.instruction_tokens, config.input_tokens, config.prior],
            base.version,
            features.version,
        )
        self._shown = lru_cache(maxsize=8_192)(self._tokens_of)
        self._piece = lru_cache(maxsize=None)(base.tokens)
        self.empty = self._prompt(None, (), 0)
        """The prompt of no text of which nothing is known."""
        self._base_scores = lru_cache(maxsize=8_192)(self._scores_by_base)

    def __call__(self, state: State) -> np.ndarray:
        """The vector of `state`: shape (size,), float64, in which every token is exact."""
        prompt = self.prompt(state)
        filled = np.full(self.width, NO_TOKEN, dtype=np.float64)
        filled[self.width - len(prompt) :] = prompt
        return np.concatenate([filled, self.offsets(prompt), self._features(state)])

    def offsets(self, prompt: tuple[int, ...]) -> np.ndarray:
        """What each name's score counts from: the base's own, after this prompt and, `prior` of it, after no text.

        Shape (operations,). Long and rare names are no worse for it.
        """
        prior = self.config.prior
        after_none = prior * self._base_scores(self.empty) if prior else 0.0
        return after_none + (1 - prior) * self._base_scores(prompt)

    def _scores_by_base(self, prompt: tuple[int, ...]) -> np.ndarray:
        with one_thread(self.is_small):  # wherever a state is met first, its scores have the same bits
            return self.names.scores_of_one(self.base.model, prompt)

    def prompt(self, state: State) -> tuple[int, ...]:
        """The tokens of `state`, at most `width`."""
        past = state.past if self._features.sees_history else ()
        return self._prompt(self._features.shown(state), past, state.step)

    def actor(self, weights: dict[str, np.ndarray], allowed: np.ndarray) -> Actor:
        """The policy with these weights, ready to act."""
        from teams_dagster.policy.reader.network import LanguageModelActor

        return LanguageModelActor(self, weights, allowed)

    def _prompt(self, shown: Instruction | None, past: tuple[PastOperation, ...], step: int) -> tuple[int, ...]:
        text = self._shown(shown) if shown else self._piece(_INPUT)
        tried = [self._piece(_said(operation)) for operation in past] or [self._piece(_NOTHING)]
        return (
            *self.base.begins,
            *self._piece(_HEAD),
            *text,
            *self._piece(_TRIED.format(step=step + 1, steps=HORIZON)),
            *(token for said in tried for token in said),
            *self._piece(_TAIL),
        )

    def _tokens_of(self, shown: Instruction) -> tuple[int, ...]:
        text = self._cut(shown.text, self.config.instruction_tokens)
        return (*text, *self.base.tokens(_INPUT), *self._cut(shown.input, self.config.input_tokens))

    def _cut(self, text: str, most: int) -> tuple[int, ...]:
        """At most `most` tokens of `text`, of a longer one both ends with a mark between them."""
        bounded = text[:MAX_CHARACTERS].strip()
        tokens = self.base.tokens(f" {bounded}") if bounded else ()
        if len(tokens) <= most:
            return tokens
        gap = self.base.tokens(_GAP)
        begins = (most - len(gap)) // 2
        return (*tokens[:begins], *gap, *tokens[len(tokens) - (most - len(gap) - begins) :])

    def _longest(self) -> int:
        """Tokens of the longest prompt that a state can have."""
        said = max(
            len(self.base.tokens(_said(PastOperation(operation, accepted))))
            for operation in Operation
            for accepted in (True, False)
        )
        steps = max(len(self.base.tokens(_TRIED.format(step=n + 1, steps=HORIZON))) for n in range(HORIZON + 1))
        fixed = [self.base.begins, *map(self.base.tokens, (_HEAD, _INPUT, _TAIL))]
        read = self.config.instruction_tokens + self.config.input_tokens
        return sum(map(len, fixed)) + read + steps + max(len(self.base.tokens(_NOTHING)), HORIZON * said)


def _said(past: PastOperation) -> str:
    return f" {words(past.operation.value)} {_OUTCOMES[past.accepted]},"
