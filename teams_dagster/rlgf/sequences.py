"""Texts as they were written, and the tensors of a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import torch

from teams_dagster.policy.algorithms.batch import Who


class EndReason(StrEnum):
    """Why a text ended."""

    ENDED = "ended"
    """Its writer wrote an end token."""
    LENGTH = "length"
    """It had as many tokens as it may have."""


@dataclass(frozen=True)
class Text:
    """What was written after a prompt, token by token."""

    prompt_id: str
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    """An end token included; at least one."""
    writers: tuple[Who, ...]
    """Of each token."""
    end: EndReason
    reward: float = 0.0
    """Of the whole text; it counts at the last token."""

    def __post_init__(self) -> None:
        if not self.tokens or len(self.tokens) != len(self.writers):
            raise ValueError(
                f"a text of {len(self.tokens)} tokens with {len(self.writers)} writers: it needs at least one token,"
                " and a writer for each"
            )


@dataclass(frozen=True)
class TextBatch:
    """Texts in their order as tensors: prompts padded on the left, texts on the right, so that texts begin together."""

    ids: torch.Tensor
    """(texts, width + tokens), long: prompt and text."""
    attended: torch.Tensor
    """(texts, width + tokens), bool: neither padding before nor after."""
    width: int
    """Columns before the first token of a text."""
    by_learner: torch.Tensor
    """(texts, tokens), bool: the learner wrote it, not the guide."""
    rewards: torch.Tensor
    """(texts, tokens), float64: 0 but at each last token."""

    @property
    def tokens(self) -> torch.Tensor:
        """(texts, tokens), long."""
        return self.ids[:, self.width :]

    @property
    def valid(self) -> torch.Tensor:
        """(texts, tokens), bool: a token of the text, its end token included."""
        return self.attended[:, self.width :]

    @cached_property
    def positions(self) -> torch.Tensor:
        """(texts, width + tokens), long: places counted from the first token that is attended."""
        return (self.attended.long().cumsum(1) - 1).clamp(min=0)

    def __len__(self) -> int:
        return len(self.ids)

    def same_texts(self, other: TextBatch) -> bool:
        """Whether prompts and texts are the same, in the same places; by whom and for what reward does not count."""
        return torch.equal(self.ids, other.ids) and torch.equal(self.attended, other.attended)

    def cpu(self) -> TextBatch:
        """The same in main memory."""
        ids, attended, by_learner, rewards = (
            tensor.cpu() for tensor in (self.ids, self.attended, self.by_learner, self.rewards)
        )
        return TextBatch(ids, attended, self.width, by_learner, rewards)

    def rows(self, index: torch.Tensor) -> TextBatch:
        """The texts at `index`."""
        return TextBatch(self.ids[index], self.attended[index], self.width, self.by_learner[index], self.rewards[index])


def joined(one: TextBatch, other: TextBatch) -> TextBatch:
    """The texts of both, in this order."""
    width, length = max(one.width, other.width), max(one.tokens.shape[1], other.tokens.shape[1])
    parts = [_widened(batch, width - batch.width, length - batch.tokens.shape[1]) for batch in (one, other)]
    ids, attended, by_learner, rewards = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return TextBatch(ids, attended, width, by_learner, rewards)


def _widened(batch: TextBatch, before: int, after: int) -> tuple[torch.Tensor, ...]:
    """Its tensors, with as many columns more; what stands there is never attended to."""
    whole, own = (before, after), (0, after)
    return (
        torch.nn.functional.pad(batch.ids, whole),
        torch.nn.functional.pad(batch.attended, whole),
        torch.nn.functional.pad(batch.by_learner, own),
        torch.nn.functional.pad(batch.rewards, own),
    )


def batch_of(texts: Sequence[Text], padding: int) -> TextBatch:
    """The tensors of `texts`; `padding` is the token that fills what nobody wrote."""
    width, length = max(len(text.prompt) for text in texts), max(len(text.tokens) for text in texts)
    ids = torch.full((len(texts), width + length), padding)
    attended = torch.zeros(len(texts), width + length, dtype=torch.bool)
    by_learner = torch.zeros(len(texts), length, dtype=torch.bool)
    rewards = torch.zeros(len(texts), length, dtype=torch.float64)
    for row, text in enumerate(texts):
        begin, end = width - len(text.prompt), width + len(text.tokens)
        ids[row, begin:end] = torch.tensor([*text.prompt, *text.tokens])
        attended[row, begin:end] = True
        by_learner[row, : len(text.tokens)] = torch.tensor([who is Who.LEARNER for who in text.writers])
        rewards[row, len(text.tokens) - 1] = text.reward
    return TextBatch(ids, attended, width, by_learner, rewards)
