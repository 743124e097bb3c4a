"""The words of an instruction that name what it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from resources.language_models.offline.domains import rare_phrase, recognise
from resources.language_models.offline.kinds import first_sentence
from resources.language_models.offline.rewording import LEAD_SYNONYMS

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*|\S")
_FUNCTION_WORDS = frozenset(
    "a an the this that these those it its is are was were be been being am do does did has have had having of in on"
    " at for with by as and or also please just i me my mine you your we us our he she his her they them their one"
    " will would can could should shall may might must so then there here to from into than about over under after"
    " before between through during without within up down out off not no only very more most less least some any"
    " each every all both few many much such other another own same too what why how when where who whom which whose"
    " if whether while because although until unless since make makes made take takes use uses using used get gets"
    " give giving put say says tell show let help want wants need needs like given following below above based"
    " answer question task text sentence paragraph passage input example examples way ways thing things someone"
    " somebody anyone something anything nothing find found know knows come comes become became keep kept new good"
    " better best first second short long kind list lists two three four five six seven eight nine ten write written"
    " poem story letter email e-mail essay speech note title different explain explains described suggest compare"
    " recommend plan create generate design well really still ever never it's don't brainstorm decide return returns"
    " mean means happens happen work works worth aloud facts ideas tips reasons steps invent reply suppose imagine set"
    " reads read runs run look feel feels without advise outline offer please explain comparing using according design"
    " tell mark check state count counts pick choose go going comes pay see seen left leave lies old"
    " everyday likely whole first time times half term idea concept meaning difference differences".split()
)
MAX_RUN = 3
"""Longest topic, in words."""


@dataclass(frozen=True)
class Topic:
    """What an answer speaks about, in words of the instruction."""

    main: str
    first: str
    second: str


@lru_cache(maxsize=4096)
def topic_of(text: str) -> Topic:
    """The longest run of content words in the first sentence, and the two runs beside it.

    A rarer topic of the lexicon that stands in the text is the topic whole. Without any content word the topic is
    "this". Runs that are missing are filled by the name of the domain and by "the result".
    """
    runs = _runs(first_sentence(text)) or _runs(text)
    if known := rare_phrase(text):
        start = text.lower().find(known)
        main = text[start : start + len(known)]
    else:
        main = max(runs[:4], key=lambda run: (len(run.split()), -runs.index(run))) if runs else "this"
    others = [run for run in runs if run != main and run not in main]
    others += [recognise(text, "") or "the task", "the result"]
    return Topic(main, others[0], others[1])


def _runs(sentence: str) -> list[str]:
    runs: list[list[str]] = [[]]
    for word in _WORD.findall(sentence[:300]):
        lowered = word.lower()
        if not lowered[0].isalpha() or lowered in _FUNCTION_WORDS or lowered in LEAD_SYNONYMS or len(lowered) < 3:
            runs.append([])
        elif len(runs[-1]) == MAX_RUN:
            runs.append([word])
        else:
            runs[-1].append(word)
    return list(dict.fromkeys(" ".join(run) for run in runs if run))
