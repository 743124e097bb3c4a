"""A small reward that runs anywhere: how positive a text is, by words that are counted."""

from __future__ import annotations

import math
import re

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
