"""Writing a batch of texts, each begun by one writer and completed by another as an algorithm plans."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from teams_dagster.core.rng import uniform
from teams_dagster.policy.algorithms.batch import RollIn, Who
from teams_dagster.policy.algorithms.minibatches import Key
from teams_dagster.rlgf.guides import Writer
from teams_dagster.rlgf.sampling import Begun
from teams_dagster.rlgf.sequences import EndReason, Text


@dataclass(frozen=True)
class Prompt:
    """What a text is to follow."""

    prompt_id: str
    tokens: tuple[int, ...]


class Planner(Protocol):
    """Says who begins a text, and when the other takes over."""

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        """The plan of a text of `horizon` tokens; `draw(name)` is a uniform that belongs to the text."""
        ...


@dataclass(frozen=True)
class Written:
    """A batch of texts, not rewarded yet, and what it took."""

    texts: tuple[Text, ...]
    learner_tokens: int
    """Tokens that the learner wrote, those dropped at a switch included."""
    guide_tokens: int
    """The same of the guide."""


@dataclass
class _Page:
    """A text that is being written."""

    key: Key
    prompt: Prompt
    tokens: tuple[int, ...] = ()
    writers: tuple[Who, ...] = ()

    def begun(self, who: Who, limit: int) -> Begun:
        """What `who` is given."""
        return Begun(self.prompt.tokens, self.tokens, limit - len(self.tokens), (*self.key, who.value))


def write_texts(
    planner: Planner,
    writers: Mapping[Who, Writer],
    prompts: Sequence[Prompt],
    *,
    iteration: int,
    limit: int,
    ends: frozenset[int],
    key: Key,
) -> Written:
    """One text for each of `prompts`, of at most `limit` tokens.

    Who begins is planned first. Where the switch falls is drawn below the length that came, so that one who ends early
    still begins the text: what was written after the switch is dropped. `key` names the random streams.
    """
    pages = [_Page((*key, iteration, index), prompt) for index, prompt in enumerate(prompts)]
    spent = dict.fromkeys(Who, 0)

    def plan(page: _Page, horizon: int) -> RollIn:
        return planner.roll_in(iteration, horizon, lambda name: uniform(*page.key, name))

    def go_on(chosen: Sequence[_Page], who: Who) -> None:
        if not chosen:
            return
        for page, more in zip(chosen, writers[who].write([page.begun(who, limit) for page in chosen]), strict=True):
            if not more:
                raise ValueError(f"the {who.value} wrote nothing after prompt {page.prompt.prompt_id}: give a token")
            page.tokens, page.writers = (*page.tokens, *more), (*page.writers, *[who] * len(more))
            spent[who] += len(more)

    plans = [plan(page, limit) for page in pages]
    for who in Who:
        go_on([p for p, planned in zip(pages, plans, strict=True) if planned.switch and planned.first is who], who)
    for index, page in enumerate(pages):
        if page.tokens:
            plans[index] = plan(page, len(page.tokens))
            switch = plans[index].switch
            page.tokens, page.writers = page.tokens[:switch], page.writers[:switch]
    for who in Who:
        open_pages = [
            page
            for page, planned in zip(pages, plans, strict=True)
            if planned.then is who and len(page.tokens) < limit and not _ended(page, ends)
        ]
        go_on(open_pages, who)
    return Written(tuple(_text(page, ends) for page in pages), spent[Who.LEARNER], spent[Who.GUIDE])


def _ended(page: _Page, ends: frozenset[int]) -> bool:
    return bool(page.tokens) and page.tokens[-1] in ends


def _text(page: _Page, ends: frozenset[int]) -> Text:
    end = EndReason.ENDED if _ended(page, ends) else EndReason.LENGTH
    return Text(page.prompt.prompt_id, page.prompt.tokens, page.tokens, page.writers, end)


def rewarded(written: Written, rewards: Sequence[float]) -> Written:
    """The same texts with what they earned. Raises ValueError where a reward is missing or not finite."""
    for text, reward in zip(written.texts, rewards, strict=True):
        if not math.isfinite(reward):
            raise ValueError(
                f"the text after prompt {text.prompt_id!r} earned {reward}: a reward is a finite number, so mend the"
                " function that gives it"
            )
    texts = tuple(replace(text, reward=reward) for text, reward in zip(written.texts, rewards, strict=True))
    return replace(written, texts=texts)
