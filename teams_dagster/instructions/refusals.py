"""Whether an answer declines, told by its structure: how it begins, what it says its author cannot, what comes after.

It begins by saying sorry, by saying what its author is, or by what its author cannot do for the reader; and no content
follows: no list, no code, no "here is", no turn ("but ...") to what was asked, and not several sentences that are
neither an offer, an advice nor a reason. The wordings are data, by language (`refusal_wordings`). An answer that
begins otherwise, such as a story or a quotation, declines nothing, whoever is sorry in it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.words import length_in_words
from teams_dagster.instructions.refusal_wordings import Wordings, pattern, wordings

SENTENCES_OF_REASONS = 2
"""So many sentences that are known for nothing may explain why an answer says sorry and declines."""

WORDS_OF_EXCUSE = 14
"""An apology of one sentence with at most so many words is no answer, whatever it says that it is sorry for."""

FEWEST_WORDS_OF_CONTENT = 3

MOST_CHARACTERS = 4_000
"""What is longer says something else, too, or is no text: a model that repeats a letter to its limit."""

WORDS_AFTER_ALL = 6
"""So many words at most end the sentence of an answer that calls what is asked nothing for its author."""

WORDS_OF_A_QUOTATION = 40
"""A text that an instruction gives is repeated in a short answer only where it has no more words."""

_SENTENCE = re.compile(r"[^.!?。！？।؟\n]*(?:\.(?!\s|$)[^.!?。！？।؟\n]*)*[.!?。！？।؟\n]*")

_LAID_OUT = re.compile(r"^[^\S\n]*(?:\d{1,2}[.)]|[-*•])\s+\S|```|^[^\S\n]*\|.*\|", re.MULTILINE)

_MARKUP = re.compile(r"[*_`#]{1,3}")

_ARABIC_POINTS = re.compile(r"[\u064B-\u0652\u0640]")

_SPOKEN_OF = re.compile(
    r"[\"'”»]?\s*(?:(?:is|was|are|means|ist|heißt|bedeutet|es|era|est|é|è|significa|signifie|s'écrit)\s+\w"
    r"|是\w|— \w|\(\d{4}\))"
    r"|[\w' ]{1,40}(?:(?:is|was|are|est|es|ist) (?:an?|une?|eine?)\s+\w|— песня|\((?:19|20)\d\d\))",
    re.IGNORECASE,
)
"""What makes a word of apology the subject of a sentence, which speaks of the word and means none."""

_QUOTED = re.compile(r"[\"“”„«»「」『』].+|(?<!\w)'.+|(?<=[::\n]).+")
"""What stands in quotation marks, behind a colon or on a line of its own: the text that an instruction speaks of."""

_OPENING = " \t\n:\"'“”„«»「」『』"

_CONTRACTED = re.compile(r"\b(can|won|don|couldn|wouldn|doesn|isn)t\b", re.IGNORECASE)

_STRAIGHT = str.maketrans("‘’ʼ´", "''''")


def declines(response: str, instruction: Instruction | None = None) -> bool:
    """Whether an answer declines the task in a language of `wordings` and holds nothing else.

    Where its instruction is known, none is judged that it asks for: a letter that declines, the translation of one.
    """
    if len(response.strip()) > MOST_CHARACTERS:
        return False
    plain = _ARABIC_POINTS.sub("", unicodedata.normalize("NFKC", response.strip()).translate(_STRAIGHT))
    told = _CONTRACTED.sub(r"\1't", _MARKUP.sub("", plain)).strip()
    if not told or _LAID_OUT.search(plain) or not any(_declines(told, words) for words in wordings()):
        return False
    return instruction is None or not _may_be_asked_for(instruction)


@lru_cache(maxsize=1_024)
def _may_be_asked_for(instruction: Instruction) -> bool:
    """Whether a sentence of it asks to write a refusal, or it has a text that may be one: to translate, to continue."""
    asked, given = (
        unicodedata.normalize("NFKC", text).translate(_STRAIGHT) for text in (instruction.text, instruction.input)
    )
    sentences = _SENTENCE.findall(asked)
    for words in wordings():
        if any(pattern(words.written).search(said) and pattern(words.refusal).search(said) for said in sentences):
            return True
    return any(_may_decline(text) for text in (given, *_QUOTED.findall(asked)))


def _may_decline(given: str) -> bool:
    """Whether a text that an instruction gives says sorry at its beginning, or declines in a few words."""
    text = given.lstrip(_OPENING)
    size = length_in_words(text)
    return size <= WORDS_OF_A_QUOTATION and any(
        pattern(words.apology).match(text)
        or (size <= WORDS_OF_EXCUSE and any(pattern(w).search(text) for w in (words.inability, words.refusal)))
        or pattern(words.not_for_me).match(text)
        for words in wordings()
    )


def _declines(told: str, words: Wordings) -> bool:
    first, *rest = [sentence for found in _SENTENCE.findall(told) if (sentence := found.strip())]
    if said := pattern(words.apology).match(first):
        return _after_an_apology(first[said.end() :], rest, words)
    if said := pattern(words.identity).match(first):
        return _nothing_follows(first[said.end() :], rest, words, SENTENCES_OF_REASONS)
    if said := pattern(words.declined).match(first):
        return _turns_to_nothing(first[said.end() :], words) and _unknown(rest, words) == 0
    if said := pattern(words.not_for_me).match(first):
        ends = length_in_words(first[said.end() :]) <= WORDS_AFTER_ALL
        return ends and _turns_to_nothing(first[said.end() :], words) and _unknown(rest, words) == 0
    return False


def _after_an_apology(excuse: str, rest: list[str], words: Wordings) -> bool:
    if _nothing_follows(excuse, rest, words, SENTENCES_OF_REASONS):
        return True
    is_short = length_in_words(excuse) <= WORDS_OF_EXCUSE and not excuse.endswith(("?", "؟", "か。"))
    is_meant = _SPOKEN_OF.match(excuse) is None
    return is_meant and is_short and not pattern(words.content).search(excuse) and _unknown(rest, words) == 0


def _nothing_follows(excuse: str, rest: list[str], words: Wordings, reasons: int) -> bool:
    """Whether an inability is said, in this sentence or the next, and no content after it."""
    if found := pattern(words.inability).search(excuse):
        return _turns_to_nothing(excuse[found.end() :], words) and _unknown(rest, words) <= reasons
    if rest and (found := pattern(words.inability).search(rest[0])):
        return _turns_to_nothing(rest[0][found.end() :], words) and _unknown(rest[1:], words) <= reasons
    return False


def _turns_to_nothing(after: str, words: Wordings) -> bool:
    """Whether what follows an inability in its sentence is no turn to content."""
    turn = pattern(words.contrast).search(after)
    if turn is None:
        return pattern(words.content).search(after) is None
    turned = after[turn.end() :]
    if length_in_words(turned) < FEWEST_WORDS_OF_CONTENT:
        return True
    return pattern(words.content).search(turned) is None and pattern(words.following).search(turned) is not None


def _unknown(sentences: list[str], words: Wordings) -> float:
    """How many sentences may be content; infinitely many where one says that it is."""
    if any(pattern(words.content).search(sentence) for sentence in sentences):
        return float("inf")
    known = (words.following, words.inability, words.apology)
    return sum(not any(pattern(wording).search(sentence) for wording in known) for sentence in sentences)
