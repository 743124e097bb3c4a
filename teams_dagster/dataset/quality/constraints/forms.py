"""Constraints on the form of an answer and on the words in it, as instructions state them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.dataset.quality.constraints.reading import QUOTED, Sentence, number_of

_LIST = rf"(?P<texts>{QUOTED}(?:(?:,\s*(?:and\s+)?|\s+and\s+){QUOTED})*)(?!\s*(?:,|or\b|/))"
_WORD = (
    r"(?:(?:the|these|this|exact|following|single|key)\s+)*"
    r"(?:words?|phrases?|terms?|keywords?|expressions?|names?|sentence|text|string)\s+(?:of\s+)?"
)
_ANSWER = (
    r"(?:(?:your|the)\s+)?(?:(?:whole|entire|full|final)\s+)?(?:answer|response|reply|output|message|text)(?:\s+only)?"
)
_CLAUSE_ENDS = r"(?=\s*(?:[.,;:!]|$|with\b|containing\b|only\b|using\b|and nothing else\b))"
_GIVEN_AS = (
    r"\b(?:give|write|list|provide|return|output|generate|produce|present|summari[sz]e|extract|show|format|answer"
    r"|respond|reply|organi[sz]e|put|compare|use|make|create|your (?:answer|response|reply|output))\b[^.;]*?"
)
_CAPITALS = (
    r"(?:(?:only|all|entirely)\s+)*(?:in\s+)?(?:all\s+)?(?:upper-?\s?case|capital|caps)(?:\s+letters)?(?:\s+only)?"
)
_SMALL = r"(?:(?:only|all|entirely)\s+)*(?:in\s+)?(?:all\s+)?lower-?\s?case(?:\s+letters)?(?:\s+only)?"
_IN_CASE = (
    rf"\b(?:(?:answer|respond|reply|(?:write|give|put)\s+{_ANSWER})(?:\s+\w+)?\s+in|use\s+only"
    rf"|{_ANSWER}\s+(?:should|must)\s+be)\s+"
)
_AS = r"\b(?:as|in|with|using|use|into)\s+(?:an?\s+)?"
_JSON = r"(?:valid\s+)?JSON"
_THING = r"(?:\s+(?:object|array|list))?"
_MAKE = r"^(?:write|give|make|create|provide)\s+(?:me\s+)?a\s+"
_REPLY = r"^(?:please\s+)?(?:answer|respond|reply)\s+(?:only\s+)?(?:with\s+)?(?:(?:only|just|either)\s+)?"
_NO = r"\b(?:(?:do not|don't)\s+use|without(?:\s+using)?|avoid(?:\s+using)?|use\s+no)\s+(?:any\s+)?"
_BULLETED = r"(?:\w+\s+)?(?:bullet(?:ed)?\s+(?:points|list)|bullets)"
_SCRIPTS = {
    "russian": "Cyrillic",
    "ukrainian": "Cyrillic",
    "bulgarian": "Cyrillic",
    "greek": "Greek",
    "arabic": "Arabic",
    "persian": "Arabic",
    "urdu": "Arabic",
    "hebrew": "Hebrew",
    "hindi": "Devanagari",
    "nepali": "Devanagari",
    "bengali": "Bengali",
    "tamil": "Tamil",
    "telugu": "Telugu",
    "thai": "Thai",
    "korean": "Hangul",
    "georgian": "Georgian",
    "armenian": "Armenian",
}
_EITHER_END = rf"(?:with|by)\s+(?:saying\s+)?(?:{_WORD})?(?:exactly\s+)?(?P<texts>{QUOTED})"


def _of(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_FORMS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.JSON, _of(rf"{_GIVEN_AS}(?:\bin\s+{_JSON}\s+format|\bas\s+(?:an?\s+)?{_JSON}{_THING}){_CLAUSE_ENDS}")),
    (
        Kind.JSON,
        _of(
            rf"^(?:answer|respond|reply|return|output)\s+(?:\w+\s+)?(?:in|with|only|just)?\s*(?:an?\s+)?{_JSON}{_THING}"
            rf"{_CLAUSE_ENDS}"
        ),
    ),
    (Kind.TABLE, _of(rf"{_GIVEN_AS}\b(?:as|in)\s+an?\s+(?:markdown\s+)?table(?:\s+format|\s+form)?{_CLAUSE_ENDS}")),
    (Kind.CODE_BLOCK, _of(rf"{_GIVEN_AS}\b(?:in|inside|within)\s+an?\s+(?:\w+\s+)?code\s+block{_CLAUSE_ENDS}")),
    (Kind.BULLETS, _of(rf"{_GIVEN_AS}{_AS}{_BULLETED}{_CLAUSE_ENDS}")),
    (Kind.BULLETS, _of(rf"{_MAKE}bullet(?:ed)?(?:\s+point)?\s+list\b")),
    (Kind.NUMBERED, _of(rf"{_GIVEN_AS}{_AS}number(?:ed)?\s+(?:list|steps|points|items)\b")),
    (Kind.NUMBERED, _of(rf"{_MAKE}numbered\s+list\b")),
    (Kind.UPPERCASE, _of(rf"{_IN_CASE}{_CAPITALS}{_CLAUSE_ENDS}")),
    (Kind.LOWERCASE, _of(rf"{_IN_CASE}{_SMALL}{_CLAUSE_ENDS}")),
    (Kind.NO_COMMAS, _of(rf"{_NO}commas\b")),
    (Kind.NO_DIGITS, _of(rf"{_NO}(?:digits|numerals)\b")),
    (
        Kind.QUOTED,
        _of(rf"\b(?:wrap|put|enclose)\s+{_ANSWER}\s+(?:in|with|inside)\s+double\s+quot(?:ation|e)s?(?:\s+marks)?\b"),
    ),
    (Kind.TITLE, _of(r"\btitle\b[^.]*\b(?:in|with)\s+double\s+ang(?:ular|le)\s+brackets\b")),
    (Kind.POSTSCRIPT, _of(r"\b(?:add|include)\s+a\s+postscript\b")),
    (Kind.YES_OR_NO, _of(rf"{_REPLY}(?:yes or no|{QUOTED} or {QUOTED})(?:\s+only)?\s*[.!]?$")),
)
_LANGUAGE = _of(
    rf"^(?:please\s+)?(?:answer|respond|reply|write\s+{_ANSWER})\s+(?:only\s+)?in\s+(?P<name>{'|'.join(_SCRIPTS)})\b"
)
_INCLUDES = _of(
    rf"(?:^|\b(?:and|must|should|to)\s+|,\s*)(?:include|mention|contain|incorporate|use)\s+(?:all\s+(?:of\s+)?)?{_WORD}{_LIST}"
    rf"|\b(?:including|containing|using|with)\s+(?:all\s+(?:of\s+)?)?{_WORD}{_LIST.replace('texts', 'more')}"
)
_TIMES = _of(
    rf"\b(?:use|include|mention|repeat|say|write)\s+(?:{_WORD})?(?P<texts>{QUOTED})\s+"
    r"(?P<how>at least|exactly|at most|no more than)?\s*"
    r"(?:(?P<number>\d+|two|three|four|five)\s+times|(?P<once>once|twice))\b"
)
_EXCLUDES = _of(
    rf"\b(?:without\s+(?:using|mentioning|including|saying)|(?:do not|don't|never)\s+(?:use|mention|include|say|write)"
    rf"|avoid(?:\s+(?:using|mentioning|saying))?)\s+(?:any\s+of\s+)?{_WORD}(?P<texts>{QUOTED}(?:(?:,\s*(?:and\s+|or\s+)?"
    rf"|\s+(?:and|or)\s+){QUOTED})*)"
)
_STARTS = _of(rf"\b(?:begin|start|open)\s+{_ANSWER}\s+{_EITHER_END}")
_ENDS = _of(rf"\b(?:end|finish|close|conclude)\s+{_ANSWER}\s+{_EITHER_END}")
_NEGATED = _of(r"\b(?:not|n't|never|avoid|without)\s*(?:\w+\s+)?$")
_HIGHLIGHTS = _of(
    r"\bhighlight\s+at\s+least\s+(?P<number>\d+|one|two|three|four|five)\s+(?:\w+\s+)?(?:sections?|words?|phrases?|parts?)\b"
)
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "once": 1, "twice": 2}


def forms_of(sentence: Sentence) -> Iterator[Constraint]:
    """The constraints on form and words in one sentence. A program's are not an answer's."""
    if sentence.is_about_programs:
        return
    for find in _FINDERS:
        yield from find(sentence)


def _form(sentence: Sentence) -> Iterator[Constraint]:
    for kind, pattern in _FORMS:
        for found in sentence.finds(pattern):
            if _shares(sentence, kind):
                continue
            counted = kind in (Kind.BULLETS, Kind.NUMBERED)
            texts = sentence.texts_in(found[0])
            if kind is Kind.YES_OR_NO and texts and {text.lower() for text in texts} != {"yes", "no"}:
                continue
            yield Constraint(kind, sentence.said(found[0].strip()), least=1 if counted else 0)


def _shares(sentence: Sentence, kind: Kind) -> bool:
    """Whether a form may be meant for a part of the answer only."""
    return (
        kind in _OF_ALL
        and re.search(r"\b(?:title|heading|name|first|last|each|every)\b", sentence.text, re.I) is not None
    )


_OF_ALL = (Kind.UPPERCASE, Kind.LOWERCASE, Kind.NO_COMMAS, Kind.NO_DIGITS)


def _script(sentence: Sentence) -> Iterator[Constraint]:
    for found in sentence.finds(_LANGUAGE):
        yield Constraint(Kind.SCRIPT, sentence.said(found[0]), texts=(_SCRIPTS[found["name"].lower()],))


def _words(sentence: Sentence) -> Iterator[Constraint]:
    counted = list(sentence.finds(_TIMES))
    for found in counted:
        number = found["number"] or found["once"]
        count = _NUMBERS[number.lower()] if number.lower() in _NUMBERS else number_of(number)
        how = (found["how"] or "").lower()
        least = 0 if how in ("at most", "no more than") else count
        most = count if how in ("exactly", "at most", "no more than") else None
        texts = sentence.texts_in(found["texts"])
        yield Constraint(Kind.TIMES, sentence.said(found[0]), least, most, texts)
    for found in sentence.finds(_INCLUDES):
        if not counted and not _NEGATED.search(sentence.text[: found.start()]):
            texts = sentence.texts_in(found["texts"] or found["more"])
            yield Constraint(Kind.INCLUDES, sentence.said(found[0].strip(" ,")), texts=texts)
    for found in sentence.finds(_EXCLUDES):
        yield Constraint(Kind.EXCLUDES, sentence.said(found[0]), texts=sentence.texts_in(found["texts"]))


def _ends(sentence: Sentence) -> Iterator[Constraint]:
    for kind, pattern in ((Kind.STARTS_WITH, _STARTS), (Kind.ENDS_WITH, _ENDS)):
        for found in sentence.finds(pattern):
            yield Constraint(kind, sentence.said(found[0]), texts=sentence.texts_in(found["texts"]))


def _highlights(sentence: Sentence) -> Iterator[Constraint]:
    for found in sentence.finds(_HIGHLIGHTS):
        number = found["number"].lower()
        yield Constraint(Kind.HIGHLIGHTS, sentence.said(found[0]), _NUMBERS.get(number) or number_of(number))


_FINDERS: tuple[Callable[[Sentence], Iterator[Constraint]], ...] = (_form, _script, _words, _ends, _highlights)
