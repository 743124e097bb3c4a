"""Rewards for how a text feels: words that are counted, VADER's lexicon, and a classifier of texts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

from pydantic import Field

from teams_dagster.policy.algorithms.base import FrozenConfig

PACKAGE = "vaderSentiment"
AT_ONCE = 16
"""Texts classified together."""


class ClassifierConfig(FrozenConfig):
    """A classifier of texts, and what it should say."""

    model: str = Field(
        min_length=1, description="Folder or hub id of a sequence classifier, read by transformers from safetensors."
    )
    label: str = Field(min_length=1, description="A text earns the probability of this label, as the model names it.")


def check_vader() -> None:
    """Raises ValueError where VADER's package is not installed."""
    if find_spec(PACKAGE) is None:
        raise ValueError(
            f"vader needs the package {PACKAGE}, which is not installed: pip install {PACKAGE}, or name `positivity`,"
            " which needs none"
        )


def vader(text: str) -> float:
    """Between -1 and 1: VADER's compound score (Hutto and Gilbert 2014). Raises ValueError without its package."""
    return float(_analyzer().polarity_scores(text)["compound"])


@cache
def _analyzer() -> Any:
    check_vader()
    from importlib import import_module

    return import_module(f"{PACKAGE}.{PACKAGE}").SentimentIntensityAnalyzer()


@dataclass(frozen=True)
class _Loaded:
    tokenizer: Any
    model: Any


def label_probabilities(config: ClassifierConfig, texts: Sequence[str]) -> list[float]:
    """Of each of `texts` the probability of the label. Raises ValueError where model or label is not there."""
    import torch

    loaded = _load(config.model)
    place = _place_of(config, loaded.model)
    found: list[float] = []
    for first in range(0, len(texts), AT_ONCE):
        batch = list(texts[first : first + AT_ONCE])
        inputs = loaded.tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = loaded.model(**inputs).logits.float()
        found += torch.softmax(logits, dim=-1)[:, place].tolist()  # pyright: ignore[reportUnknownMemberType]
    return found


def _place_of(config: ClassifierConfig, model: Any) -> int:
    labels: dict[str, int] = {str(name): place for place, name in model.config.id2label.items()}
    if config.label not in labels:
        raise ValueError(
            f"classifier.label is {config.label!r}, and {config.model} knows {', '.join(sorted(labels))}: name one"
        )
    return labels[config.label]


@cache
def _load(name: str) -> _Loaded:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model = cast(Any, AutoModelForSequenceClassification).from_pretrained(name, use_safetensors=True)
        return _Loaded(cast(Any, AutoTokenizer).from_pretrained(name), model.eval())
    except (OSError, ValueError) as error:
        raise ValueError(f"classifier.model {name} is no sequence classifier that can be read: {error}") from error


POSITIVE = frozenset(
    """admirable amazing awesome beautiful best brilliant calm charming cheerful clean clever comfortable delicious
    delightful easy elegant enjoy enjoyed excellent exciting fantastic favorite favourite fine fresh friendly fun
    generous gentle glad good gorgeous great happy helpful honest impressive improved inspiring interesting joy kind
    like liked love loved lovely lucky nice outstanding peaceful perfect pleasant pleased pleasure polite positive
    pretty proud recommend relaxing reliable rich satisfied smart smooth special splendid strong superb sweet talented
    thankful thoughtful thrilled useful warm welcoming well wonderful worth""".split()
)
NEGATIVE = frozenset(
    """afraid angry annoying awful bad bland boring broken cheap cold confusing cruel damaged dead dirty disappointed
    disappointing disaster disgusting dull empty expensive fail failed failure false fear flat frustrating hate hated
    horrible hurt ill lazy lonely loud lost mediocre mess messy mistake nasty negative noisy pain painful poor problem
    problems regret rough rude sad scary sick slow sorry strange stupid terrible tired trouble ugly unfortunately
    unhappy unpleasant upset useless waste weak weird worse worst wrong""".split()
)
NEGATIONS = frozenset(
    "no not never nothing hardly without isn't wasn't aren't weren't don't didn't can't won't".split()
)
REACH = 3
"""Words that a negation turns around."""
HALFWAY = 4.0
"""The more words count, the less one more: s / sqrt(s^2 + HALFWAY), as VADER's compound score is bounded."""

_WORD = re.compile(r"[a-z']+")


def positivity(text: str) -> float:
    """Between -1 and 1. A word counts where it first appears, so that repeating it earns nothing."""
    words = _WORD.findall(text.lower().replace("’", "'"))
    total = 0
    for index, word in enumerate(words):
        sign = (word in POSITIVE) - (word in NEGATIVE)
        if sign and word not in words[:index]:
            negated = not NEGATIONS.isdisjoint(words[max(0, index - REACH) : index])
            total += -sign if negated else sign
    return total / math.sqrt(total**2 + HALFWAY)
