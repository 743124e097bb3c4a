"""The verdict: do two instructions ask the same? A comparison of texts that knows nothing of operations.

Both texts are reduced to the multiset of words that carry a requirement, a thing or an aspect: politeness, stop words,
punctuation, inflection and the choice among synonyms do not count, and neither does the order of clauses. What a
preposition of direction governs ("to French") counts with it. Words that are left over on one side are requirements,
aspects, terms or material that the other side lacks, unless they are the same word mistyped.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from teams_dagster.core.instruction import Instruction

_FILLERS = re.compile(
    r"\b("
    r"i (would|'d) (like|love) (you )?to( know)?|i('d| want| need) (you )?to( know)?"
    r"|(could|can|would|will) you( please)?( tell me)?"
    r"|thank you( (very|so) much)?( in advance)?|thanks( a lot)?( in advance)?"
    r"|your task is to|in this task|you (need|are asked|have) to"
    r"|help me( with this| to)?|tell me|let me know|for me"
    r")\b"
)
_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*|[-+*/=<>^%$€£{}\[\]()|#]")
_STOP = frozenset(
    "a an the this that these those it its is are was were be been being am do does did has have had of in on at for"
    " with by as and or also please kindly just i me my mine you your yours we us our he she his her they them their"
    " will would can could shall so then there here out up ( ) [ ] { }".split()
)
_DIRECTION = frozenset("to than before after into from over under".split())
_CANONICAL = {
    variant: words[0]
    for words in (
        "write compose draft create produce generate make".split(),
        "explain describe".split(),
        "list name enumerate".split(),
        "suggest propose recommend".split(),
        "calculate compute".split(),
        "classify categorise".split(),
        "decide determine".split(),
        "find identify locate".split(),
        "summarise sum".split(),
        "rewrite rephrase reword paraphrase".split(),
        "correct fix".split(),
        "give provide".split(),
        "say state tell".split(),
        "extract pull".split(),
        "convert turn".split(),
        "translate render".split(),
        "short brief".split(),
        "big large".split(),
        "funny humorous".split(),
        "begin start".split(),
        "answer respond reply".split(),
    )
    for variant in words
}
_IRREGULAR = {"children": "child", "people": "person", "men": "man", "women": "woman", "e-mail": "email"}
_MIN_TYPO_LENGTH = 5


def same(first: Instruction, second: Instruction) -> bool:
    """Whether both hold the same requirements, depth, breadth and material. Symmetric."""
    if first.input != second.input and " ".join(first.input.split()) != " ".join(second.input.split()):
        return False
    if first.text == second.text:
        return True
    one, other = _meaning(first.text), _meaning(second.text)
    left, right = sorted((one - other).elements()), sorted((other - one).elements())
    if len(left) != len(right):
        return False
    left, right = sorted((left, right))
    return _pair_up(left, right)


def verdict(first: Instruction, second: Instruction) -> str:
    """`Equal` or `Not Equal`."""
    return "Equal" if same(first, second) else "Not Equal"


@lru_cache(maxsize=4096)
def _meaning(text: str) -> Counter[str]:
    words: Counter[str] = Counter()
    direction = ""
    for token in _TOKEN.findall(_FILLERS.sub(" ", text.lower().replace("’", "'"))):
        if token in _DIRECTION:
            direction = token
        elif token not in _STOP:
            words[f"{direction}:{_root(token)}" if direction else _root(token)] += 1
            direction = ""
    return words


@lru_cache(maxsize=16384)
def _root(word: str) -> str:
    """`word` without inflection and spelling variants, and the chosen one of its synonyms."""
    word = _IRREGULAR.get(word, word)
    if word.endswith("'s"):
        word = word[:-2]
    word = re.sub(r"i[sz](e[sd]?|ing|ation)$", r"is\1", word).replace("colour", "color").replace("favour", "favor")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    return _CANONICAL.get(word, word)


def _pair_up(left: list[str], right: list[str]) -> bool:
    """Whether every left-over word of one side is one of the other side mistyped."""
    rest = list(right)
    for word in left:
        match = next((candidate for candidate in rest if _is_typo(word, candidate)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _is_typo(one: str, other: str) -> bool:
    """One letter too many, or two neighbours swapped, in words of some length. Another letter is another word."""
    if min(len(one), len(other)) < _MIN_TYPO_LENGTH or one[0] != other[0] or not (one + other).isalpha():
        return False
    shorter, longer = sorted((one, other), key=len)
    if len(longer) == len(shorter) + 1:
        return any(longer[:i] + longer[i + 1 :] == shorter for i in range(1, len(longer)))
    differing = [i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    return (
        len(one) == len(other)
        and len(differing) == 2
        and differing[1] == differing[0] + 1
        and one[differing[0]] == other[differing[1]]
        and one[differing[1]] == other[differing[0]]
    )
