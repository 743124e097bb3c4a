"""Whether an answer keeps a constraint. Where it can be counted in two ways, either may be meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

import regex

from teams_dagster.core.words import length_in_words, words
from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.dataset.quality.constraints.forms import forms_of
from teams_dagster.dataset.quality.constraints.reading import sentences_of
from teams_dagster.dataset.quality.constraints.sizes import sizes_of

_ITEM = re.compile(r"^[ \t]*(?:[-*•‣◦–]|\+)\s+\S", re.MULTILINE)
_TOP_ITEM = re.compile(r"^(?:[-*•‣◦–]|\+)\s+\S", re.MULTILINE)
_NUMBER = re.compile(r"^[ \t]*(?:\*\*|#+\s*)?(?:step\s+)?\d+[.):]", re.MULTILINE | re.IGNORECASE)
_TOP_NUMBER = re.compile(r"^(?:\*\*|#+\s*)?(?:step\s+)?\d+[.):]", re.MULTILINE | re.IGNORECASE)
_LIST_MARK = re.compile(r"^[ \t]*(?:[-*•‣◦–+]|#+|\d+[.)])\s+", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<![.!?…。！？])[.!?…。！？]++[\"'”’)\]*_]*+(?=\s|$)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|e\.g|i\.e|etc|vs|cf|no|approx|u\.s|a\.m|p\.m|inc|ltd|jr|sr)|\b[A-Z])$", re.IGNORECASE
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(
    r"^[ \t]*+(?:\|[ \t]*+)?:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)+\|?[ \t]*$|<table\b", re.MULTILINE
)
_EDGES = " \t\n*_#>\"'“”‘’.,;:!?"
_JSON = json.JSONDecoder(parse_int=str)
"""Whole numbers are not read: Python refuses those of thousands of digits, and JSON has them."""
_HEADING_WORDS = 10
"""A block of one line with no end of a sentence is a heading, not a paragraph, up to so many words."""


def constraints_of(text: str) -> tuple[Constraint, ...]:
    """The constraints in an instruction's text that a program can check, in their order, none twice.

    Only what is certain is found: a constraint that is worded otherwise, or may be meant for a part of the answer, is
    left to a judge.
    """
    found = [c for sentence in sentences_of(text) for find in (sizes_of, forms_of) for c in find(sentence)]
    counted = {c.kind for c in found if c.most is not None or c.least > 1}
    kept = [c for c in found if not (c.kind in counted and c.most is None and c.least == 1)]
    return tuple(dict.fromkeys(kept))


def broken(constraints: Iterable[Constraint], answer: str) -> tuple[Constraint, ...]:
    """Those of `constraints` that `answer` does not keep."""
    return tuple(constraint for constraint in constraints if not holds(constraint, answer))


def holds(constraint: Constraint, answer: str) -> bool:
    """Whether `answer` keeps `constraint`."""
    return _CHECKS[constraint.kind](constraint, answer)


def _words(constraint: Constraint, answer: str) -> bool:
    counts = sorted((round(length_in_words(answer)), len(words(answer))))
    return constraint.allows(*counts)


def _sentences(constraint: Constraint, answer: str) -> bool:
    """A line that ends without a full stop may be one; a full stop after an abbreviation may end none."""
    lines = [line.strip() for line in _LIST_MARK.sub("", answer).splitlines() if line.strip()]
    text = "\n".join(lines)
    ends = [found for found in _SENTENCE_END.finditer(text) if found.end()]
    sure = sum(not _ABBREVIATION.search(text[: found.start()]) for found in ends)
    unended = sum(not _SENTENCE_END.search(line[-4:]) for line in lines)
    return constraint.allows(min(sure, len(ends)), len(ends) + unended)


def _paragraphs(constraint: Constraint, answer: str) -> bool:
    blocks = [block.strip() for block in re.split(r"\n[ \t]*\n", answer) if block.strip()]
    prose = [block for block in blocks if not _is_heading(block)]
    lines = [line for line in answer.splitlines() if line.strip() and not _is_heading(line.strip())]
    fewest = min(len(prose), len(blocks))
    return constraint.allows(fewest, max(len(blocks), len(lines)) if len(blocks) == 1 else len(blocks))


def _is_heading(block: str) -> bool:
    return "\n" not in block and (
        block.startswith("#") or (len(block.split()) <= _HEADING_WORDS and not _SENTENCE_END.search(block))
    )


def _lines(constraint: Constraint, answer: str) -> bool:
    written = [line for line in answer.splitlines() if line.strip()]
    headed = bool(written) and written[0].lstrip().startswith(("#", "**"))
    return constraint.allows(len(written) - headed, len(written))


def _characters(constraint: Constraint, answer: str) -> bool:
    return constraint.allows(len("".join(answer.split())), len(answer.strip()))


def _bullets(constraint: Constraint, answer: str) -> bool:
    return constraint.allows(*_both_counts(_TOP_ITEM, _ITEM, answer))


def _numbered(constraint: Constraint, answer: str) -> bool:
    return constraint.allows(*_both_counts(_TOP_NUMBER, _NUMBER, answer))


def _both_counts(top: re.Pattern[str], nested: re.Pattern[str], answer: str) -> tuple[int, int]:
    return len(top.findall(answer)), len(nested.findall(answer))


def _placeholders(constraint: Constraint, answer: str) -> bool:
    return constraint.allows(len(re.findall(r"\[[^\[\]\n]+\]", answer)))


def _highlights(constraint: Constraint, answer: str) -> bool:
    return constraint.allows(len(re.findall(r"(?<!\*)\*{1,2}[^*\s][^*\n]*\*{1,2}", answer)))


def _json(constraint: Constraint, answer: str) -> bool:
    """The whole answer, one of its code blocks, or what stands in it from the first bracket on."""
    texts = [answer.strip(), *(block.strip() for block in _FENCE.findall(answer))]
    starts = [at for at in (answer.find("{"), answer.find("[")) if at >= 0]
    return any(_is_json(text) for text in texts) or any(_begins_json(answer[at:]) for at in starts)


def _is_json(text: str) -> bool:
    try:
        return isinstance(_JSON.decode(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _begins_json(text: str) -> bool:
    try:
        return isinstance(_JSON.raw_decode(text)[0], dict | list)
    except (ValueError, RecursionError):
        return False


def _table(constraint: Constraint, answer: str) -> bool:
    rows = [line for line in answer.splitlines() if line.count("|") >= 2 or line.count("\t") >= 1]
    return _TABLE.search(answer) is not None or len(rows) >= 2


def _code_block(constraint: Constraint, answer: str) -> bool:
    return re.search(r"^[ \t]*(?:```|~~~)|^(?: {4}|\t)\S", answer, re.MULTILINE) is not None


def _includes(constraint: Constraint, answer: str) -> bool:
    """An inflected form counts."""
    text = _folded(answer)
    return all(_folded(wanted) in text for wanted in constraint.texts)


def _excludes(constraint: Constraint, answer: str) -> bool:
    """Only the word as it stands: what is forbidden is a word, and other words may hold it."""
    return not any(_occurrences(forbidden, answer) for forbidden in constraint.texts)


def _times(constraint: Constraint, answer: str) -> bool:
    (text,) = constraint.texts
    return constraint.allows(_occurrences(text, answer), _folded(answer).count(_folded(text)))


def _occurrences(text: str, answer: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(_folded(text))}(?!\w)", _folded(answer)))


def _folded(text: str) -> str:
    return " ".join(text.replace("’", "'").casefold().split())


def _uppercase(constraint: Constraint, answer: str) -> bool:
    return not any(letter.islower() for letter in answer)


def _lowercase(constraint: Constraint, answer: str) -> bool:
    return not any(letter.isupper() for letter in answer)


def _starts_with(constraint: Constraint, answer: str) -> bool:
    (text,) = constraint.texts
    return _folded(answer.lstrip(_EDGES)).startswith(_folded(text.strip(_EDGES)))


def _ends_with(constraint: Constraint, answer: str) -> bool:
    (text,) = constraint.texts
    return _folded(answer.rstrip(_EDGES)).endswith(_folded(text.strip(_EDGES)))


def _no_commas(constraint: Constraint, answer: str) -> bool:
    return not re.search("[,，、،]", answer)


def _no_digits(constraint: Constraint, answer: str) -> bool:
    return not any(character.isdigit() for character in answer)


def _quoted(constraint: Constraint, answer: str) -> bool:
    text = answer.strip()
    return len(text) > 1 and text[0] in '"“' and text[-1] in '"”'


def _title(constraint: Constraint, answer: str) -> bool:
    return re.search(r"<<[^<>\n]+>>", answer) is not None


def _postscript(constraint: Constraint, answer: str) -> bool:
    return re.search(r"\bp\.?\s?s\b", answer, re.IGNORECASE) is not None


def _yes_or_no(constraint: Constraint, answer: str) -> bool:
    return bool({"yes", "no"} & set(words(answer)))


def _script(constraint: Constraint, answer: str) -> bool:
    """At least half of the letters: names and terms may stand in Latin letters."""
    (name,) = constraint.texts
    letters = regex.findall(r"\p{L}", answer)
    return 2 * len(regex.findall(rf"(?=\p{{L}})\p{{Script={name}}}", answer)) >= len(letters) > 0


_CHECKS: dict[Kind, Callable[[Constraint, str], bool]] = {
    Kind.WORDS: _words,
    Kind.SENTENCES: _sentences,
    Kind.PARAGRAPHS: _paragraphs,
    Kind.LINES: _lines,
    Kind.CHARACTERS: _characters,
    Kind.BULLETS: _bullets,
    Kind.NUMBERED: _numbered,
    Kind.PLACEHOLDERS: _placeholders,
    Kind.HIGHLIGHTS: _highlights,
    Kind.JSON: _json,
    Kind.TABLE: _table,
    Kind.CODE_BLOCK: _code_block,
    Kind.INCLUDES: _includes,
    Kind.EXCLUDES: _excludes,
    Kind.TIMES: _times,
    Kind.UPPERCASE: _uppercase,
    Kind.LOWERCASE: _lowercase,
    Kind.STARTS_WITH: _starts_with,
    Kind.ENDS_WITH: _ends_with,
    Kind.NO_COMMAS: _no_commas,
    Kind.NO_DIGITS: _no_digits,
    Kind.QUOTED: _quoted,
    Kind.TITLE: _title,
    Kind.POSTSCRIPT: _postscript,
    Kind.YES_OR_NO: _yes_or_no,
    Kind.SCRIPT: _script,
}
