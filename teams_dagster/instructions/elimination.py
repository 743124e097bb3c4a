"""The elimination rules, each with a name (Evol-Instruct's four, TeaMs-RL section 3, made deterministic).

Rule 1, no information gain, is the reviewer's verdict (`review`). Rule 4, and the tests for refused, empty and
meaningless texts and for texts that speak to the reviewer, act on rewrites, as does rule 2 where a rewrite declines and
its parent did not; of an answer, rules 2 and 3 never enter a reward.

A text that orders a verdict (`verdict_orders`) is not shown to the reviewer: a seed is refused when it is read, an edit
is eliminated by name. So is an edit that imitates the tags or calls off the task where its parent did not; what people
wrote may, for the tags around it then carry a mark that no text can hold (`prompts`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.lookalikes import folded_text, imitates_tags
from teams_dagster.core.protocol import Outcome
from teams_dagster.core.words import length_in_words, letters, words
from teams_dagster.instructions.answer_signs import signs_answer
from teams_dagster.instructions.novelty import similarity
from teams_dagster.instructions.refusals import declines
from teams_dagster.instructions.verdict_orders import orders_a_verdict

_REVIEW_TAGS = ("first", "second")

_GAP = r"[\W_]{1,4}"

_CALLED_OFF = re.compile(
    rf"\b(?:ignore|disregard|forget|override){_GAP}(?:(?:all|any|every|the|of|my|your|these|those){_GAP}){{0,4}}"
    rf"(?:previous|prior|above|preceding|earlier|foregoing|system){_GAP}"
    r"(?:instructions?|prompts?|rules?|messages?|texts?|directions?)\b"
)


def _breaks_out(instruction: Instruction) -> bool:
    """Whether a text, or its input, imitates the tags of the review's prompt, or calls off the task."""
    return any(map(_breaks_out_of_tags, (instruction.text, instruction.input)))


@lru_cache(maxsize=4_096)
def _breaks_out_of_tags(text: str) -> bool:
    return imitates_tags(text, _REVIEW_TAGS) or _CALLED_OFF.search(folded_text(text)) is not None


class Rule(StrEnum):
    """Why a rewrite or an answer was eliminated."""

    EMPTY = "empty"
    REFUSED = "refused"
    """The model declined: the provider said so."""
    TRUNCATED = "truncated"
    """The token limit cut it off."""
    REASONING_ONLY = "reasoning_only"
    """The model thought until its token limit and wrote no answer."""
    REASONING_TOO_LONG = "reasoning_too_long"
    """Thoughts were asked for, and this answer's are longer than the limit."""
    UNFINISHED = "unfinished"
    """The provider did not say that the text is whole: no finish reason, or one that is not known."""
    MALFORMED_REPLY = "malformed_reply"
    """It is not in the reply format that the prompt states."""
    MEANINGLESS = "meaningless"
    """Only punctuation and stop words (rule 3); as an answer, one word alone, a clause or a symbol has meaning."""
    LEAKED_PROMPT_WORDS = "leaked_prompt_words"
    """It copies words of the operation's prompt (rule 4)."""
    INJECTION = "injection"
    """It, or the text it was made from, orders a verdict; or it imitates the prompt's tags, as its parent did not."""
    RETURNED = "returned"
    """It is equal or near-equal to an earlier text of its chain, or has the same letters with other signs between; an
    answer says its instruction again, and nothing else."""
    SHORT_APOLOGY = "short_apology"
    """It declines in fewer than 80 words and says nothing else: the instruction is hard to answer (rule 2), or its
    rewrite was declined.

    Told in seventeen languages (`refusals`); in others none is judged.
    """


APOLOGY_WORDS = 80
"""Rule 2: an answer that declines in fewer words than this is eliminated."""

REPEATED_WORDS = 4
"""An answer that is its instruction again in fewer words than this may be one."""

RETURNED_SIMILARITY = 0.97
"""At or above this `similarity` to an earlier text of its chain, a rewrite has returned to it."""

_OF_OUTCOME = {
    Outcome.EMPTY: Rule.EMPTY,
    Outcome.REFUSAL: Rule.REFUSED,
    Outcome.TRUNCATED: Rule.TRUNCATED,
    Outcome.REASONING_ONLY: Rule.REASONING_ONLY,
    Outcome.UNFINISHED: Rule.UNFINISHED,
    Outcome.MALFORMED: Rule.MALFORMED_REPLY,
}

_PHRASES = r"\b(?:given|rewritten|created)[ _]+(?:prompt|instruction)\b"

_PROMPT_PHRASES = re.compile(_PHRASES, re.IGNORECASE)

_PROMPT_WORDS = re.compile(rf"{_PHRASES}|</?(?:instruction|input|first|second)(?:-[0-9a-f]+)?>", re.IGNORECASE)

_STOP_WORDS = frozenset(
    "a an and are as at be been but by for from had has have he her his i in is it its me my nor not of on or our she"
    " so than that the their them then there these they this those to too us was we were will with you your".split()
)


def eliminate_outcome(outcome: Outcome) -> Rule | None:
    """The rule that a completion's outcome breaks by itself; None for a usable one."""
    return _OF_OUTCOME.get(outcome)


def eliminate_rewrite(rewritten: Instruction, chain: Sequence[Instruction]) -> Rule | None:
    """The first rule that a rewrite breaks, or None.

    `chain` holds the earlier texts of its chain, the seed first and the parent last. Words that the parent already
    had are not leaked; a verdict that either orders counts, for the reviewer is shown both.
    """
    parent = chain[-1] if chain else None
    if not rewritten.text.strip():
        return Rule.EMPTY
    if is_meaningless(rewritten.text):
        return Rule.MEANINGLESS
    if _is_apology(rewritten.text) and not (parent is not None and declines(parent.text)):
        return Rule.SHORT_APOLOGY
    if leaks_prompt_words(rewritten, parent):
        return Rule.LEAKED_PROMPT_WORDS
    if any(map(orders_a_verdict, (rewritten, *chain[-1:]))):
        return Rule.INJECTION
    if _breaks_out(rewritten) and not (parent is not None and _breaks_out(parent)):
        return Rule.INJECTION
    if any(_returns(rewritten, earlier) for earlier in chain):
        return Rule.RETURNED
    return None


def _returns(rewritten: Instruction, earlier: Instruction) -> bool:
    """Whether nothing but a few words, or the signs and spaces between letters, tells the one from the other."""
    if similarity(rewritten, earlier) >= RETURNED_SIMILARITY:
        return True
    return _letters(rewritten.text) == _letters(earlier.text) and _letters(rewritten.input) == _letters(earlier.input)


_letters = lru_cache(maxsize=8_192)(letters)
"""Kept for a while: a text is compared with each edit of it."""


def leaks_prompt_words(rewritten: Instruction, parent: Instruction | None = None) -> bool:
    """Whether a rewrite has words of the operations' prompts that its parent, where it is known, did not have."""
    return _has_prompt_words(rewritten) and not (parent is not None and _has_prompt_words(parent))


@lru_cache(maxsize=4_096)
def _has_prompt_words(instruction: Instruction) -> bool:
    """Kept for a while: episodes that start from one seed reach the same texts."""
    return _PROMPT_WORDS.search(_joined(instruction)) is not None


def answer_leaks_prompt_words(response: str, instruction: Instruction) -> bool:
    """Whether an answer has phrases of the operations' prompts that its instruction did not have.

    Tags are no sign of it: the prompt for answers has none, and an answer about HTML has `<input>`.
    """
    return bool(_PROMPT_PHRASES.search(response)) and not _PROMPT_PHRASES.search(_joined(instruction))


def eliminate_answer(response: str, instruction: Instruction | None = None) -> Rule | None:
    """The first rule that an answer's text breaks, or None (rules 2 and 3).

    What may be asked for, where `instruction` is known, is no refusal: a letter that declines, a translated apology.
    """
    if not response.strip():
        return Rule.EMPTY
    if is_meaningless(response) and not _says_it_all(response) and not _is_the_mark_asked_for(response, instruction):
        return Rule.MEANINGLESS
    if _is_apology(response, instruction):
        return Rule.SHORT_APOLOGY
    if instruction is not None and _repeats(response, instruction):
        return Rule.RETURNED
    return None


def _repeats(response: str, instruction: Instruction) -> bool:
    """Whether an answer is its instruction again. One of a few words may be: `Hello there!`, `2 + 2 = 4`."""
    if len(response) > 2 * len(_joined(instruction)):
        return False
    again = (_letters(instruction.text), _letters(_joined(instruction)))
    return _letters(response) in again and length_in_words(response) >= REPEATED_WORDS


@lru_cache(maxsize=4_096)
def _is_apology(text: str, instruction: Instruction | None = None) -> bool:
    """Kept for a while: episodes that start from one seed reach the same texts."""
    return length_in_words(text) < APOLOGY_WORDS and declines(text, instruction)


def is_meaningless(text: str) -> bool:
    """Whether nothing but punctuation and English stop words is left of `text`. Digits and code have meaning."""
    return all(
        word in _STOP_WORDS for line in text.splitlines() for word in _words(line)
    )  # mostly the first line ends it


def _says_it_all(response: str) -> bool:
    """Whether stop words or a sign answer by themselves: `A`, `(A)`, `He`, `A, I`, `It is.`, `==`, an emoji."""
    items = _ITEM.split(response)
    if all(len(_words(item)) <= 1 for item in items) and any(map(_words, items)):
        return True
    return _is_clause(_words(response)) or signs_answer(response)


def _is_clause(found: Sequence[str]) -> bool:
    """Whether stop words make a clause, or a part of one that stands alone: `To be or not to be`, `not in it`."""
    return len(found) > 1 and not _STANDING_ALONE.isdisjoint(found) and found[-1] not in _LEFT_OPEN


def _is_the_mark_asked_for(response: str, instruction: Instruction | None) -> bool:
    """Whether a mark of a sentence, `?` or `—`, or several of Morse code answer: where the instruction asks for such.
    Elsewhere models write them where they have nothing to say.
    """
    if instruction is None:
        return False
    mark, asked = response.strip(), instruction.text
    if _MORSE.fullmatch(mark) is not None and _MORSE_ASKED_FOR.search(asked) is not None:
        return True
    return len(mark) <= _LONGEST_MARK and (
        _MARK_ASKED_FOR.search(asked) is not None or _MARK_BY_ITS_USE.search(asked) is not None
    )


_STANDING_ALONE = frozenset(
    "are be been had has have he her him i is it me not she them there these they this those us was we were will you"
    " that".split()
)
"""Stop words of which one at least is in a clause."""

_LEFT_OPEN = frozenset("a an and but from my of or our so than the their to your with as".split())
"""Stop words after which something is missing."""

_LONGEST_MARK = 3

_MARK_ASKED_FOR = re.compile(
    r"\b(?:(?:punctuation|diacritic\w*|marks?|signs?|symbols?|characters?|operators?|dash(?:es)?|hyphens?|quantifier|wildcard|glyphs?"
    r"|comma|full stop|period|colon|ellipsis)\b|satzzeichen|zeichen|sonderzeichen|symbole?|signe|ponctuation|caractère"
    r"|signo|puntuación|símbolo|carácter|segno|punteggiatura|знак|символ)|标点|符号|標點|符號|字符|句読点|記号"
    r"|문장 ?부호|기호",
    re.IGNORECASE,
)

_MARK_BY_ITS_USE = re.compile(
    r"\b(?:delimiters?|separator|separat(?:es?|ed|ing)|divid(?:es?|ed)|brackets?|braces?|parenthes[ie]s"
    r"|quot(?:es?|ation)|slash(?:es)?|decimals?|regex|wildcards?|(?:current|parent) (?:directory|folder)|spread|range"
    r"|slice|terminat\w+|goes between|stands? (?:before|after|between)|at the end of"
    r"|ends? a (?:statement|sentence|line|clause)|fill in the blank"
    r"|trenn(?:t|en|zeichen)|séparat?\w*|separad\w+|separa|scheid\w+|разделител\w+)\b|分隔|小数点|区切",
    re.IGNORECASE,
)
"""What a mark is for, as instructions ask for one without naming it."""

_MORSE = re.compile(r"[.·•\-–—−_/|\s]+")

_MORSE_ASKED_FOR = re.compile(
    r"\b(?:in|into|to|as|using|with|auf|en|im|per|em|ve|for)\s+(?:\w+\s+){0,2}?morse"
    r"|\bmorse(?: ?code)?\s+(?:for|of|für|de|para)\b|\bmorse'?s? (?:alphabet|letter|sign)"
    r"|морзе|摩[尔爾斯]\w*(?:电码|電碼|密码)|モールス|모스",
    re.IGNORECASE,
)

_ITEM = re.compile(r"[,;\n]|\band\b")
"""What stands between the items of a list."""


def _words(text: str) -> list[str]:
    return words(text.replace("_", " "))


def _joined(instruction: Instruction) -> str:
    return f"{instruction.text}\n{instruction.input}"
