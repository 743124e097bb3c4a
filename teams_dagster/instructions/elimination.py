"""The elimination rules, each with a name (Evol-Instruct's four, TeaMs-RL section 3, made deterministic).

Rule 1, no information gain, is the reviewer's verdict (`review`). Rule 4, and the tests for refused, empty and
meaningless texts and for texts that speak to the reviewer, act on rewrites; rules 2 and 3 judge answers and never
enter a reward.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Outcome
from teams_dagster.instructions.injection import speaks_to_the_reviewer
from teams_dagster.instructions.novelty import similarity


class Rule(StrEnum):
    """Why a rewrite or an answer was eliminated."""

    EMPTY = "empty"
    REFUSED = "refused"
    """The model declined: the provider said so."""
    TRUNCATED = "truncated"
    """The token limit cut it off."""
    MALFORMED_REPLY = "malformed_reply"
    """It is not in the reply format that the prompt states."""
    MEANINGLESS = "meaningless"
    """Only punctuation and stop words (rule 3)."""
    LEAKED_PROMPT_WORDS = "leaked_prompt_words"
    """It copies words of the operation's prompt (rule 4)."""
    INJECTION = "injection"
    """It, or the text it was made from, speaks to the reviewer: imitates its prompt's marks, or orders a verdict."""
    RETURNED = "returned"
    """It is equal or near-equal to an earlier text of its chain."""
    SHORT_APOLOGY = "short_apology"
    """It says sorry in fewer than 80 words: the instruction is hard to answer (rule 2)."""


APOLOGY_WORDS = 80
"""Rule 2: an answer that apologises in fewer words than this is eliminated."""

RETURNED_SIMILARITY = 0.97
"""At or above this `similarity` to an earlier text of its chain, a rewrite has returned to it."""

_OF_OUTCOME = {
    Outcome.EMPTY: Rule.EMPTY,
    Outcome.REFUSAL: Rule.REFUSED,
    Outcome.TRUNCATED: Rule.TRUNCATED,
    Outcome.MALFORMED: Rule.MALFORMED_REPLY,
}

_PHRASES = r"#?\s*\b(?:given|rewritten|created)[ _]+(?:prompt|instruction)\b\s*#?"

_PROMPT_PHRASES = re.compile(_PHRASES, re.IGNORECASE)

_PROMPT_WORDS = re.compile(rf"{_PHRASES}|</?(?:instruction|input|first|second)>", re.IGNORECASE)

_APOLOGY = re.compile(r"\bsorry\b", re.IGNORECASE)

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")

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
    had are not leaked; what it says to the reviewer counts, for the reviewer is shown both.
    """
    if not rewritten.text.strip():
        return Rule.EMPTY
    if is_meaningless(rewritten.text):
        return Rule.MEANINGLESS
    if leaks_prompt_words(rewritten, chain[-1] if chain else None):
        return Rule.LEAKED_PROMPT_WORDS
    if any(map(speaks_to_the_reviewer, (rewritten, *chain[-1:]))):
        return Rule.INJECTION
    if any(similarity(rewritten, earlier) >= RETURNED_SIMILARITY for earlier in chain):
        return Rule.RETURNED
    return None


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


def eliminate_answer(response: str) -> Rule | None:
    """The first rule that an answer's text breaks, or None (rules 2 and 3)."""
    if not response.strip():
        return Rule.EMPTY
    if is_meaningless(response):
        return Rule.MEANINGLESS
    if _APOLOGY.search(response) and len(response.split()) < APOLOGY_WORDS:
        return Rule.SHORT_APOLOGY
    return None


def is_meaningless(text: str) -> bool:
    """Whether nothing but punctuation and English stop words is left of `text`. Digits and code have meaning."""
    return all(word[0].lower() in _STOP_WORDS for word in _WORD.finditer(text))


def _joined(instruction: Instruction) -> str:
    return f"{instruction.text}\n{instruction.input}"
