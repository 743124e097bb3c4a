"""Concretizing: a specific thing in place of a general term, or a concrete case in place of the general one."""

from __future__ import annotations

import re

from resources.language_models.offline.clauses import append_sentence
from resources.language_models.offline.domains import recognise
from resources.language_models.offline.kinds import Kind, Reading, with_article
from resources.language_models.offline.lexicon import GeneralTerm, choose, lexicon

_TOKEN = re.compile(r"[A-Za-z][A-Za-z'’-]*|[^\sA-Za-z]")
_DETERMINERS = frozenset("a an my your our his her another".split())
_ADJECTIVES = frozenset(
    "big small large little good great new local famous popular common favourite favorite short long busy healthy"
    " typical creative funny interesting imaginary shared close first real modern simple different various".split()
)
_BEFORE_PLURAL = frozenset(
    "of for about on in with from and or between many most some by to among"
    " help protect keep make find describe compare using write explain recommend plan suggest why do how can".split()
)
_NUMBERS = frozenset("two three four five six seven eight nine ten twelve".split())
_AFTER = frozenset(
    "and or that who which where in on at for with to from by is are was were has have had can could will would should"
    " may might must do does about after before when while because as than into without during but if so".split()
)
_WITH_CASES = frozenset({Kind.EXPLANATION, Kind.FACT, Kind.PLAN, Kind.LIST, Kind.WRITING})
_CONCRETE = re.compile(r"\d|(?<=[a-z,;] )(?!I\b)[A-Z]|[\"“]")
_CONTINUES = re.compile(r"\s+(who|that|which|where|in|on|at|for|with|without|to|from)\b")
_MODIFIER = re.compile(r" (?:recorded|set|who|that|which|with|from|such as|below|above|in|on)\b")
"""A specific phrase is cut before these where the sentence goes on with a modifier of its own."""
_CASES_OF = {
    False: (
        "Do not stay general: show in some detail what it means for {case}.",
        "Tie every point to one concrete case, namely that of {case}.",
        "Take {case} as the concrete case, and say what is special about it.",
    ),
    True: (
        "Let {case} be at the centre of it, not just anything of that sort.",
        "Build it around one concrete case, namely {case}.",
    ),
}


def find_general_terms(text: str, has_input: bool = False) -> list[tuple[int, int, GeneralTerm, bool]]:
    """Where general terms stand that a specific phrase can replace without breaking the sentence.

    Each is (start, end, term, whether the form is plural). A term inside a compound ("company policy"), after "this"
    or "each", inside quotation marks or with a genitive ending is left alone; so is "the file" where there is an
    input, for it means that one, and "the files" always.
    """
    terms = lexicon().terms
    tokens = [(match.group().lower(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    found: list[tuple[int, int, GeneralTerm, bool]] = []
    for index, (word, start, end) in enumerate(tokens):
        entry = terms.get(word)
        if entry is None or (text[start].isupper() and start > 0):
            continue
        term, plural = entry
        after = tokens[index + 1][0] if index + 1 < len(tokens) else "."
        if (after[0].isalpha() and after not in _AFTER) or after in "\"'-/_(={[<>`":
            continue
        if term.pronoun or _can_stand_after(tokens, index, term if plural else None, has_input):
            found.append((start, end, term, plural))
    return found


def concretize(reading: Reading, replica: int) -> str | None:
    """The text with its first replaceable general term made specific, or with a concrete case where it names none.

    None when it has no general term and is concrete already, or its domain is not recognised.
    """
    found = find_general_terms(reading.text, bool(reading.input))
    return _replace(reading.text, found[0], replica) if found else _add_case(reading, replica)


def is_concrete(text: str) -> bool:
    """Whether `text` names somebody, some place or a figure, quotes something, or holds a specific phrase already."""
    return _CONCRETE.search(text) is not None or any(phrase in text for phrase in lexicon().specific)


def _replace(text: str, found: tuple[int, int, GeneralTerm, bool], replica: int) -> str:
    start, end, term, plural = found
    specific = choose(term.plural if plural else term.singular, "concrete", text, replica)
    before, after = text[:start], text[end:]
    if _CONTINUES.match(after):
        specific = _MODIFIER.split(specific, maxsplit=1)[0]
    if not plural and (article := re.search(r"\b([Aa])n? $", before)):
        fitting = with_article(specific).split(" ", 1)[0]
        before = before[: article.start()] + (article.group(1) + fitting[1:]) + " "
    if start == 0:
        specific = specific[0].upper() + specific[1:]
    return before + specific + after


def _add_case(reading: Reading, replica: int) -> str | None:
    if reading.kind not in _WITH_CASES or is_concrete(reading.text):
        return None
    domain = recognise(reading.text, reading.input)
    if domain is None:
        return None
    case = choose(lexicon().domains[domain].cases, "case", reading.text, replica)
    sentence = choose(_CASES_OF[reading.kind is Kind.WRITING], "case sentence", reading.text, replica)
    return append_sentence(reading.text, sentence.format(case=case))


def _can_stand_after(
    tokens: list[tuple[str, int, int]], index: int, plural: GeneralTerm | None, has_input: bool
) -> bool:
    before = tokens[index - 1][0] if index else ""
    if before in _ADJECTIVES:
        before = tokens[index - 2][0] if index > 1 else ""
    if before == "the":
        return not (plural or has_input)
    if plural is None or before in _DETERMINERS:
        return before in _DETERMINERS
    if before in _NUMBERS:
        return not any(" and " in phrase for phrase in plural.plural)
    return before in _BEFORE_PLURAL or not before
