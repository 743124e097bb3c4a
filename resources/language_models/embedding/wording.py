"""What the wording of an edit tells that its embedding does not.

A sentence embedding hardly moves when one number, one operator or one "not" changes, and moves much when words are
misspelt. It puts an answer near to what it answers.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from teams_dagster.core.instruction import Instruction


class Fact(StrEnum):
    """Something that an edit changed, beyond wording."""

    NUMBERS = "numbers"
    OPERATORS = "operators"
    NEGATION = "negation"
    MATERIAL = "material"
    """Anything in the input but its white space."""


def changed_facts(before: Instruction, after: Instruction) -> tuple[Fact, ...]:
    """The facts in which the two differ, whatever their order in the texts."""
    found = [fact for fact, read in _READ.items() if read(before.text) != read(after.text)]
    if before.input.split() != after.input.split():
        found.append(Fact.MATERIAL)
    return tuple(found)


_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen twenty".split(),
        start=2,
    )
}
"""Without `one`, which is seldom a number."""

_NUMBER = re.compile(r"(?:(?<![\w)\]])[+-])?\d+(?:[.,]\d+)*|[a-z]+")


def _numbers(text: str) -> set[str]:
    """Which numbers are in `text`, in digits or words; a sign counts where it is not between operands."""
    found = _NUMBER.findall(text.lower())
    return {one.replace(",", "") for one in found if one[-1].isdigit()} | {
        _NUMBER_WORDS[one] for one in found if one in _NUMBER_WORDS
    }


_OPERATOR = re.compile(r"(?<=[\w)\]])(?:[=<>+*%&|^]+|\s[=<>+*/%&|^-]+\s)(?=[\w(\[])")
"""Between operands, with white space on both sides or on none: marks around words (`*so*`) are not meant."""


def _operators(text: str) -> Counter[str]:
    """How often each operator of code and formulas is in `text`."""
    return Counter(found.strip() for found in _OPERATOR.findall(text))


_NEGATION = re.compile(
    r"\b(?:no|not|never|without|nobody|none|nothing|neither|nor|cannot|avoid|except)\b|n['’]t\b", re.IGNORECASE
)


def _negations(text: str) -> int:
    """How many negations are in `text`: which words they are does not matter."""
    return len(_NEGATION.findall(text))


_READ: dict[Fact, Callable[[str], object]] = {
    Fact.NUMBERS: _numbers,
    Fact.OPERATORS: _operators,
    Fact.NEGATION: _negations,
}

_WORD = re.compile(r"[^\W\d_]{4,}")

_SPELT_ALIKE = 0.8
"""At or above this share of letters in common (difflib's ratio), one word can be a misspelling of another."""


def spelt_like(text: str, other: str, known: Callable[[str], bool]) -> str:
    """`text` with its misspelt words as `other` spells them.

    A word is misspelt when the model does not know it (`known`), `other` does not have it, and one that the model
    knows is spelt much like it there.
    """
    words = {word.lower() for word in _WORD.findall(other)}
    right = [word for word in words if known(word)]
    return _WORD.sub(partial(_as_spelt, words, right, known), text)


def _as_spelt(words: set[str], right: list[str], known: Callable[[str], bool], found: re.Match[str]) -> str:
    word = found[0].lower()
    if word in words or known(word):
        return found[0]
    return next(iter(difflib.get_close_matches(word, right, n=1, cutoff=_SPELT_ALIKE)), found[0])


_ASKING = frozenset(
    "add advise analyse analyze answer arrange ask assess assign brainstorm build calculate capitalise capitalize "
    "categorise categorize change characterise characterize check choose clarify classify collect combine come "
    "compare complete compose compute consider construct contrast convert correct count create critique debug decide "
    "decode deduce define demonstrate derive describe design detect determine develop diagnose differentiate discuss "
    "distinguish divide draft draw edit elaborate enumerate estimate evaluate examine expand explain express extract "
    "fill filter find fix forecast form formulate gather generate give group guess help highlight identify illustrate "
    "imagine implement improve infer interpret introduce invent investigate judge justify label let list locate make "
    "mark match mention merge modify name number observe offer order organise organize outline paraphrase pick plan "
    "please predict prepare present produce proofread propose prove provide pull quote rank rate read recommend "
    "reconstruct reduce refactor reformulate remove reorder rephrase replace reply report research respond restate "
    "reverse review rewrite round say scale schedule search select separate shorten show simplify simulate sketch "
    "solve sort specify spell split spot state substitute suggest sum summarise summarize tabulate tell test think "
    "trace transcribe transform translate turn underline unscramble update use verify weigh work write".split()
)
"""What instructions begin with, after `please`, `for a child:` and the like."""

_CLAUSE = re.compile(r"(?:^|[.!?:;,\n(-])[\s\W]*(?:(?:please|then|first|now|and|so|you|could|can|would|i)\s+)*(\w+)")

_REQUEST = re.compile(
    r"\?|\b(?:can|could|will|would) you\b|\bgrateful\b|\bi (?:want|need|would like) (?:you|to know)\b"
    r"|\A\W*(?:return|print)\b"
)
"""Marks of a request that begins with no imperative; `return` elsewhere is code."""

_SAME_OPENING = 0.7


def reads_like_an_answer(before: Instruction, after: Instruction) -> bool:
    """Whether `after` stands in the place of an edit of `before` but asks for nothing any more.

    Only English is told so: where `before` does not plainly ask, nothing is said of `after`.
    """
    return _asks(before.text) and not _asks(after.text) and not _open_alike(before.text, after.text)


def _asks(text: str) -> bool:
    """Whether `text` has a mark of a request or a clause that begins with an imperative."""
    plain = text.lower()
    return _REQUEST.search(plain) is not None or any(word in _ASKING for word in _CLAUSE.findall(plain))


def _open_alike(before: str, after: str) -> bool:
    """Whether the first words are nearly the same: a misspelt imperative is one all the same."""
    first, other = (text.lower().split()[:1] for text in (before, after))
    return difflib.SequenceMatcher(None, "".join(first), "".join(other)).ratio() >= _SAME_OPENING
