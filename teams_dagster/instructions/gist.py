"""What two texts say, without what an edit can add to a text and tell nothing: the words that their novelty is about.

Left out of both are marks of layout (Markdown, HTML), signs within words, courtesy, repeated sentences and words. Of
what could say something it is told by the other text: emoji count where both have some, a word in look-alike letters or
in another script is that word where the other text has it (`core.folding`), and sentences in another order are the
same.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import regex

from teams_dagster.core.folding import folded_word, is_plain, plain_letters
from teams_dagster.core.words import is_emoji, words
from teams_dagster.instructions.courtesy import COURTESY

_Sentence = tuple[str, ...]

_TAGS = regex.compile(
    r"<(b|i|u|s|em|strong|mark|small|big|p|span|div|center|font|h[1-6])\b[^<>]*>((?:(?!</?\1\b).)+)</\1>",
    regex.I | regex.DOTALL,
)
_LAYOUT = regex.compile(
    r"^[ \t]*(?:```(?:te?xt|markdown|md|plain\w*)?[ \t]*$|\d{1,2}[.)][ \t]+)|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)",
    regex.MULTILINE | regex.I,
)
_MASKS = regex.compile(r"(?<=\p{L})[@$!|€](?=\p{L})|(?<!\w)[@$€](?=\p{L})|(?<=\p{L})\$(?!\w)")
_MASKED = {"@": "a", "$": "s", "!": "i", "|": "l", "€": "e"}
_WITHIN = regex.compile(r"(?<=\p{L})[^\w\s](?=\w)|(?<=\w)[^\w\s](?=\p{L})")
_END_OF_SENTENCE = regex.compile(r"(?<=[.!?؟።])\s+|(?<=[。！？।॥])|\n+|;\s+")

_LONGEST_RUN = 8
"""Of words that are said twice in a row."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text by itself."""

    said: tuple[_Sentence, ...]
    once: tuple[_Sentence, ...]
    """The same without repetition."""
    dressed: tuple[str, ...]
    """Its words that may be others in disguise, sorted."""
    has_emoji: bool


def gists(a: str, b: str) -> tuple[list[str], list[str]]:
    """The words of two texts that tell the one from the other, in their order."""
    one, other = _read(a), _read(b)
    if one.has_emoji == other.has_emoji and not _may_disguise(one, other):
        return _in_one_order(one.once, other.once)
    said_a, said_b = _without_decoration(one.said, other.said)
    said_a, said_b = _with_words_of_one(said_a, said_b)
    return _in_one_order(_once(said_a), _once(said_b))


@lru_cache(maxsize=8_192)
def _read(text: str) -> _Text:
    """Kept for a while: a text is compared with each edit of it."""
    said = _sentences(text)
    found = _flat(said)
    dressed = sorted(word for word in found if not is_plain(word) and not _is_digit(word))
    return _Text(said, tuple(_once(said)), tuple(dressed), any(map(is_emoji, found)))


def _may_disguise(a: _Text, b: _Text) -> bool:
    """Whether a word that one of them has, or has more often, may be a word of the other that is dressed otherwise."""
    if a.dressed == b.dressed:
        return False
    count_a, count_b = Counter(a.dressed), Counter(b.dressed)
    folds = {folded_word(word) for word, _ in count_a.items() ^ count_b.items()}
    return bool(folds.intersection(map(folded_word, _flat(a.said))).intersection(map(folded_word, _flat(b.said))))


def _sentences(text: str) -> tuple[_Sentence, ...]:
    plain = plain_letters(html.unescape(text) if "&" in text else text)
    plain = COURTESY.sub(" ", _LAYOUT.sub("", _TAGS.sub(r"\2", plain)))
    found = (_WITHIN.sub("", _MASKS.sub(_letter_of, sentence)) for sentence in _END_OF_SENTENCE.split(plain))
    return tuple(said for sentence in found if (said := tuple(words(sentence))))


def _letter_of(mask: regex.Match[str]) -> str:
    return _MASKED[mask[0]]


def _without_decoration(a: tuple[_Sentence, ...], b: tuple[_Sentence, ...]) -> tuple[list[_Sentence], list[_Sentence]]:
    """Both without emoji where one of them has none, and words beside."""
    shown_a, shown_b = (any(map(is_emoji, _flat(said))) for said in (a, b))
    if shown_a == shown_b:
        return list(a), list(b)
    bare_a, bare_b = ([tuple(word for word in sentence if not is_emoji(word)) for sentence in said] for said in (a, b))
    return (bare_a, bare_b) if any(bare_a) and any(bare_b) else (list(a), list(b))


def _with_words_of_one(a: list[_Sentence], b: list[_Sentence]) -> tuple[list[_Sentence], list[_Sentence]]:
    """Both with words folded that the one has in the place of the other's."""
    count_a, count_b = Counter(_flat(a)), Counter(_flat(b))
    gone, come = set(count_a - count_b), set(count_b - count_a)
    both = set(map(folded_word, gone)).intersection(map(folded_word, come))
    same = both.intersection(folded_word(word) for word in gone | come if not is_plain(word) and not _is_digit(word))
    if not same:
        return a, b
    same |= both.intersection(folded_word(word) for word in gone | come if _is_digit(word))
    told = {word: fold for word in gone | come if (fold := folded_word(word)) in same}
    one, other = ([tuple(told.get(word, word) for word in sentence) for sentence in said] for said in (a, b))
    return one, other


def _is_digit(word: str) -> bool:
    """Which stands for a letter only where others do."""
    return len(word) == 1 and word.isdecimal()


def _once(said: Iterable[_Sentence]) -> list[_Sentence]:
    """Each sentence once, in it each run of words, and no end of a sentence again by itself."""
    kept = [sentence for sentence in dict.fromkeys(map(_without_repeats, said)) if sentence]
    return kept[:1] + [each for before, each in pairwise(kept) if before[-len(each) :] != each]


def _without_repeats(sentence: _Sentence) -> _Sentence:
    if len(set(sentence)) == len(sentence) or not _is_prose(sentence):
        return sentence
    kept: list[str] = []
    for word in sentence:
        kept.append(word)
        longest = min(_LONGEST_RUN, len(kept) // 2)
        size = next((n for n in range(1, longest + 1) if kept[-n:] == kept[-2 * n : -n]), 0)
        del kept[len(kept) - size :]
    return tuple(kept)


def _is_prose(sentence: _Sentence) -> bool:
    """Whether most of it are words, and not numbers and letters in a row, which are data."""
    said = (not word.isnumeric() and (len(word) > 1 or not word.isascii()) for word in sentence)
    return 2 * sum(said) > len(sentence)


def _in_one_order(a: Sequence[_Sentence], b: Sequence[_Sentence]) -> tuple[list[str], list[str]]:
    """The words of both, the sentences that they share in one order."""
    shared = set(a).intersection(b)
    if [said for said in a if said in shared] == [said for said in b if said in shared]:
        return _flat(a), _flat(b)
    first = sorted(shared)
    own_a, own_b = ([said for said in each if said not in shared] for each in (a, b))
    return _flat([*first, *own_a]), _flat([*first, *own_b])


def _flat(said: Iterable[_Sentence]) -> list[str]:
    return [word for sentence in said for word in sentence]
