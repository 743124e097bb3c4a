"""Which field of life a text speaks of."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from resources.language_models.offline.kinds import first_sentence
from resources.language_models.offline.lexicon import lexicon

_WORD = re.compile(r"[a-z0-9]+(?:[-'’][a-z0-9]+)*")
_READ_CHARACTERS = 600


@lru_cache(maxsize=4096)
def rare_phrase(text: str) -> str | None:
    """The rarer topic or task of the lexicon that `text` speaks of already, in lower case; None when of none."""
    lowered = text.lower()
    return next((phrase for phrase in lexicon().rare if phrase in lowered), None)


@lru_cache(maxsize=4096)
def recognise(text: str, material: str) -> str | None:
    """The domain of a rarer topic that `text` names, else the one with the most words; None when none is known.

    The first sentence is read first, then the whole text, then its material. Of equally many words the first decides.
    """
    if (phrase := rare_phrase(text)) and (domain := lexicon().rare[phrase]):
        return domain
    return _strongest(first_sentence(text)) or _strongest(text) or (_strongest(material) if material else None)


def _strongest(text: str) -> str | None:
    known = lexicon().domain_words
    words = _WORD.findall(text[:_READ_CHARACTERS].lower())
    phrases = [f"{first} {second}" for first, second in pairwise(words)]
    counts: Counter[str] = Counter()
    for word in (*words, *phrases):
        counts.update(known.get(word, ()))
    return max(counts, key=counts.__getitem__) if counts else None
