"""Constraints on how long an answer is, and on how many parts it has, as instructions state them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.dataset.quality.constraints.reading import Sentence, number_of

_NAMES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_TENS = "thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {
    **dict(zip(_NAMES, range(1, 21), strict=True)),
    **dict(zip(_TENS, range(30, 100, 10), strict=True)),
    "a single": 1,
    "a hundred": 100,
    "one hundred": 100,
    "two hundred": 200,
}

_N = rf"(?:\d[\d,]*|{'|'.join(sorted(_VALUES, key=len, reverse=True))})"
_MOST = r"at most|at maximum|no more than|not more than|up to|(?:a )?maximum of|max\.?|within"
_BELOW = r"under|fewer than|less than|below"
_LEAST = r"at least|no fewer than|no less than|not less than|(?:a )?minimum of"
_ABOVE = r"more than|over"
_ABOUT = r"about|around|approximately|roughly|~"
_EXACT = r"exactly|precisely|only|just"
_AMOUNT = (
    rf"(?:(?:(?P<how>{_MOST}|{_BELOW}|{_LEAST}|{_ABOVE}|{_ABOUT}|{_EXACT})\s+)?(?P<low>{_N})"
    rf"(?:\s*(?:-|–|—|to|or)\s*(?P<high>{_N}))?|between\s+(?P<from>{_N})\s+and\s+(?P<to>{_N}))"
)
_UNITS = {
    Kind.WORDS: "words?",
    Kind.SENTENCES: "sentences?",
    Kind.PARAGRAPHS: "paragraphs?",
    Kind.LINES: "lines?",
    Kind.CHARACTERS: "characters?",
    Kind.BULLETS: "bullet points?|bullets|bulleted (?:points?|items?)",
    Kind.NUMBERED: "numbered (?:points?|items?|steps?)",
    Kind.PLACEHOLDERS: r"placeholders?",
}
_UNIT = "|".join(f"(?P<{kind.value}>{names})" for kind, names in _UNITS.items())
_AFTER = r"(?:\s+or\s+(?P<or>less|fewer|more)\b)?(?:\s+(?P<end>at most|maximum|max|at least|minimum)\b)?"
_SIZE = rf"{_AMOUNT}\s+(?:(?:short|brief|concise|complete|full|simple|clear)\s+)?(?:{_UNIT})\b{_AFTER}"

_IN_ALL = re.compile(
    r"\b(?P<before>in|(?:one|a single) (?:sentence|paragraph) of|using|with|to|be|stay|have|contain"
    rf"|answer|response|reply|it)\s+(?:short,?\s+)?{_SIZE}",
    re.IGNORECASE,
)
_LIMITED = re.compile(r"\b(?:keep|limit)\b", re.IGNORECASE)
_OF_A_TEXT = re.compile(
    rf"(?:write|compose|create|draft|give|generate|produce)\s+(?:me\s+)?(?:a|an|one)\s+(?:\w+\s+){{1,3}}of\s+{_SIZE}",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    rf"(?P<verb>write|give|compose|produce|generate|use|provide|create|draft|return)\s+(?:me\s+)?{_SIZE}", re.IGNORECASE
)
_COMPOUND = re.compile(
    rf"(?:write|compose|create|draft|give|generate|produce|suggest)\s+(?:me\s+)?(?:a|an|one)\s+(?:\w+\s+)?(?P<low>{_N})-"
    r"(?P<unit>word|sentence|paragraph|line)\s+(?:\w+\s+)?(?:slogan|story|sentence|summary|answer|explanation|text"
    r"|description|essay|note|message|letter|poem|overview|paragraph|introduction|statement|definition|tagline)\b",
    re.IGNORECASE,
)

_EXACT_UP_TO = 10
"""A bare number of words above this is a length to aim at."""
_COUNTED_APART = (Kind.BULLETS, Kind.NUMBERED, Kind.PLACEHOLDERS)
"""Kinds that are found by their marks: they hold where the answer has other parts, too."""
_OF_PROSE = (Kind.WORDS, Kind.SENTENCES, Kind.PARAGRAPHS, Kind.LINES, Kind.CHARACTERS)
_WORDS_ON = re.compile(r"\s+(?:on|about|describing|explaining|in total|altogether)\b|\s*[.,;!]|\s*$", re.IGNORECASE)


def sizes_of(sentence: Sentence) -> Iterator[Constraint]:
    """The constraints on a size in one sentence; none where it may be the size of a part, or of something else."""
    if not sentence.of_whole_answer or sentence.is_about_programs:
        return
    seen: set[Kind] = set()
    for constraint in (*_stated(sentence), *_compound(sentence)):
        if constraint.kind not in seen:
            seen.add(constraint.kind)
            yield constraint


def _stated(sentence: Sentence) -> Iterator[Constraint]:
    for pattern in (_IN_ALL, _OF_A_TEXT, _OBJECT):
        for found in sentence.finds(pattern):
            kind = next(kind for kind in _UNITS if found[kind.value])
            if pattern is _OBJECT and not _is_length(kind, found):
                continue
            if pattern is _OF_A_TEXT and kind not in _OF_PROSE:
                continue
            least, most = _bounds(kind, found)
            if pattern is _IN_ALL and found["before"].lower() == "to" and _LIMITED.match(sentence.text):
                least, most = 0, _value(found["high"] or found["low"]) if found["low"] else most
            if most is None or least <= most:
                yield Constraint(kind, sentence.said(found[0].strip()), least, most)


def _is_length(kind: Kind, found: re.Match[str]) -> bool:
    """Whether what is to be written is so long, and not so many things: "five words that begin with b"."""
    if kind not in (Kind.WORDS, Kind.CHARACTERS):
        return True
    bounded = found["how"] is not None or found["from"] is not None or found["high"] is not None
    return bounded and _WORDS_ON.match(found.string, found.end()) is not None


def _compound(sentence: Sentence) -> Iterator[Constraint]:
    for found in sentence.finds(_COMPOUND):
        kind = Kind(f"{found['unit'].lower()}s")
        least, most = _around(kind, _value(found["low"]))
        yield Constraint(kind, sentence.said(found[0]), least, most)


def _bounds(kind: Kind, found: re.Match[str]) -> tuple[int, int | None]:
    """The smallest and the largest count that keep what is stated."""
    if found["from"]:
        return _value(found["from"]), _value(found["to"])
    low = _value(found["low"])
    how = (found["how"] or _how_after(found)).lower()
    if found["high"]:
        high = _value(found["high"])
        return (low // 2, 2 * high) if re.fullmatch(_ABOUT, how) else (low, high)
    for pattern, bounds in (
        (_MOST, (0, low)),
        (_BELOW, (0, low - 1)),
        (_LEAST, (low, None)),
        (_ABOVE, (low + 1, None)),
        (_ABOUT, (low // 2, 2 * low)),
        (_EXACT, (low, low)),
    ):
        if re.fullmatch(pattern, how):
            return bounds
    return _around(kind, low)


def _how_after(found: re.Match[str]) -> str:
    """What follows the unit: "or fewer", "at most". Such a limit may be reached."""
    if found["or"]:
        return "at least" if found["or"].lower() == "more" else "at most"
    return {"maximum": "at most", "max": "at most", "minimum": "at least"}.get(found["end"] or "", found["end"] or "")


def _around(kind: Kind, number: int) -> tuple[int, int | None]:
    """What a bare number allows: of words and characters, beyond a few, about as many."""
    if kind in (Kind.WORDS, Kind.CHARACTERS) and number > _EXACT_UP_TO:
        return number // 2, 2 * number
    return number, number


def _value(number: str) -> int:
    name = number.lower()
    return _VALUES[name] if name in _VALUES else number_of(number)
