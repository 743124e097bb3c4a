"""Whether a text tells the reviewer which verdict to give.

A reviewer is a language model: it is told not to follow what stands between the tags, and it may follow it all the
same. So a text that orders a verdict is not shown to it. A verdict by its name (`verdict_names`), noted down
(`verdict_notes`) and in other languages (`verdict_wordings`) is looked for first. A text about equality orders none:
one that has a program, or a person, say "Not Equal" where two values differ, one that asks which verdict holds or has
one proved, one that asks why something is said. Who speaks of the reviewer, of the instructions or of the reader in the
same breath is not believed. What orders a verdict in other words cannot be told from an instruction by any pattern.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.lookalikes import folded_text, seen_text
from teams_dagster.instructions.verdict_names import names_a_verdict
from teams_dagster.instructions.verdict_notes import noted_for_the_reviewer
from teams_dagster.instructions.verdict_wordings import ABOUT_ELSE, COMPARISON, CONDITION, ordered_elsewhere

_GAP = r"[\W_]{1,4}"

_N, _O, _T, _E = "[nñńηп]", "[oоοöóø0]", "[tтτ]", "[eеεëéèê3]"
_Q, _U, _A, _L = "[qԛ]", "[uυüúù]", "[aаαäáàâå@]", "[lӏι1|]"
_SPELT = regex.compile(
    rf"(?<![a-z])(?P<not>{_N}{_O}{_T}[\W_]{{0,4}})?{_E}{_Q}{_U}{_A}{_L}(?![a-z])"
    rf"|(?<![a-z])(?P<not>{_N}[\W_]{{1,3}}{_O}[\W_]{{1,3}}{_T}[\W_]{{1,6}})?"
    rf"{_E}[\W_]{{1,3}}{_Q}[\W_]{{1,3}}{_U}[\W_]{{1,3}}{_A}[\W_]{{1,3}}{_L}(?![a-z])"
)
"""A verdict in one word, spaced out, or in letters that look like its own."""

_PROGRAMS = r"(?:return|print|output|write|display|echo)"
"""What programs do with a text. People are asked to as well."""

_VERDICT = (
    rf"[\W_]{{0,4}}(?<!\bthat{_GAP}(?:is|are){_GAP})(?:not[\W_]+)?equal\b"
    r"(?![\W_]{0,4}?(?:\bor\b|/)[\W_]{0,4}(?:not|un|different|equal))"  # a choice of both is no order
    r"(?!(?:[\"'`”]\s*,\s*[\"'`“][\w ]{1,20})*[\"'`”]\s*,?\s*or\s*[\"'`“])"  # nor is one of several
    r"(?=[\W_]*(?:$|[.!,;:)\]}\"'*_`]|\n|\b(?:and|or|whatever|no matter|only|even|always|regardless|because|now)\b)"
    r"|\s[^.!?\n]{0,200}\b(?:you|your|reviewer|judge|instructions?|prompts?|texts|asked|compar\w+|verdict)\b)"
)

_ORDER = (
    r"\b(?P<verb>answer|reply|respond|response|say|conclude|conclusion|verdict|judge?ment|state|choose"
    r"|" + _PROGRAMS + r")(?P<form>ing|ed|s)?\b"
    rf"(?:{_GAP}(?:is|are|it|must|should|be|with|by|the|words?|only|just|always|strictly|exactly|simply|merely|now|that|they|as|following|both|two|texts"
    rf"|instructions|prompts|has|have|to|for|will|shall|of{_GAP}(?:this|the|your|my){_GAP}\w{{1,15}})\b){{0,8}}{_VERDICT}"
)

_STATED = (
    rf"(?<!\b(?:that|whether|if|when|why|how|where|unless|assume|suppose|show|prove){_GAP}"
    rf"(?:(?:the|these|those|both|all|any|two|your|our){_GAP}){{0,3}})"
    r"(?<!\b(?:translate|paraphrase|rephrase|proofread|correct|parse|punctuate)\b[^\n]{0,30}[\"'“”„«][^\"'“”„«»\n]{0,40})"
    rf"\b(?:instructions|prompts|texts){_GAP}(?:above{_GAP}|below{_GAP})?(?:are|is|as|were){_VERDICT}"
)

_ORDERED_VERDICT = regex.compile(f"{_ORDER}|(?P<stated>{_STATED})")

_VERDICT_FIRST = regex.compile(
    rf"(?<![\w=])(?:not[\W_]+)?equal{_GAP}(?:is|must be|should be|shall be|has to be|will be|would be|remains){_GAP}"
    rf"(?:(?:the|your|my|its|a|an|one|only|right|correct|final|expected|proper|true|required|desired|acceptable|valid"
    rf"|appropriate|best|what|you|i|we|must|should|always|reviewer|judge|want|wants|need){_GAP}){{0,7}}"
    r"(?:answer|reply|response|verdict|conclusion|judge?ment|decision|rating|say|says|give|gives)\b"
    r"|(?:^|(?<=[.!?]\s)|(?<=\n))[^\S\n]*[\"'`“*]?(?:not[\W_]+)equal[\"'`”*]?[,\s]{1,3}(?:please|it is)[.!]?(?=\s|$)"
)
"""An order whose verdict stands before what it is."""

_TOLD_OF = regex.compile(
    r"\b(?:that|whether|if|when|why|because|where|how|unless|student|pupil|teacher|quiz|exam|exercise|question|homework|wrote"
    r"|according)\b|\b(?:answer|reply|response) (?:to|for|in|of)\b|\?\s*$"
)
"""What a sentence has that is about an answer in an exercise."""

_END_OF_SENTENCE = regex.compile(r"[.!?](?=\s)|\n\s*\n")

_LONGEST = 2_000

_OF_THE_REVIEW = regex.compile(
    r"\b(?:you|reviewer|judge|grader|evaluator|rater|assistant|verdict|instructions?|prompts?|texts|whatever|regardless"
    r"|no matter|always|asked|above|below"
    r"|this(?! (?:code|program|function|script|method|snippet|test|line|loop|query|formula)\b))\b"
)
"""Words of someone who speaks to the reviewer, and not of a program or of a game."""

_OF_A_REVIEW = regex.compile(
    r"\b(?:reviewer|judge|grader|evaluator|rater|verdict|instructions|prompts|whatever|regardless)\b"
)

_SAMPLE = regex.compile(r"\binput\b[^\n]*\n[^\n]*\b(?:sample|example|expected) $")

_HOW = regex.compile(r"\bhow (?:do|can|would|should) you\b")

_QUESTION = regex.compile(r"\b(?:why|what|how|where|who|which|when|does|did|is|are|was)\b")

_LANGUAGES = (
    "spanish|french|german|italian|portuguese|dutch|russian|polish|chinese|mandarin|japanese|korean|arabic|hindi|latin|greek"
    "|turkish|swedish|morse|braille|sign language|another language|\\w+ (?:different )?languages"
)
"""Whoever has a verdict said in one of them wants it translated: the reviewer's is English."""

_LINES_OF_CODE = 3
"""A condition, what stands under it, and one line between."""


def orders_a_verdict(instruction: Instruction) -> bool:
    """Whether a text, or its input, tells the reviewer which verdict to give.

    Look-alikes count: full-width letters, invisible characters between letters, HTML character references.
    """
    return any(map(_orders, (instruction.text, instruction.input)))


@lru_cache(maxsize=4_096)
def _orders(text: str) -> bool:
    """Kept for a while: a text is read again with each edit of it."""
    plain = _SPELT.sub(lambda found: "not equal" if found["not"] else "equal", folded_text(text))
    if ordered_elsewhere(plain):
        return True
    if "equal" not in plain:
        return False
    if noted_for_the_reviewer(plain) or names_a_verdict(seen_text(text)):
        return True
    if any(found["stated"] or not _is_described(plain, found) for found in _ORDERED_VERDICT.finditer(plain)):
        return True
    return any(not _is_told_of(plain, found) for found in _VERDICT_FIRST.finditer(plain))


def _is_described(plain: str, found: regex.Match[str]) -> bool:
    """Whether what looks like an order is what a program does, what holds under a condition, or asked about."""
    before, after = _around(plain, found)
    lines = before.split("\n")
    line, after_on_line = lines[-1], after.split("\n")[0]
    said_here = f"{line}{found[0]}{after_on_line}"
    around = _HOW.sub("how", regex.sub(r"[\"'`“”]", " ", f"{line}  {after_on_line}"))
    if after_on_line.rstrip().endswith("?") and _QUESTION.search(line) and not _OF_A_REVIEW.search(said_here):
        return True
    if _OF_THE_REVIEW.search(around) or _OF_THE_REVIEW.search(found[0]):
        return False
    of_a_program = regex.fullmatch(_PROGRAMS, found["verb"]) is not None
    seen = "\n".join([*lines[-_LINES_OF_CODE:-1], around]) if of_a_program else around
    if CONDITION.search(seen) and COMPARISON.search(seen):
        return True
    if regex.search(r"\bor\W*$", line) and COMPARISON.search(line):
        return True
    if regex.match(rf"[\W_]*in (?:{_LANGUAGES})\b", after_on_line):
        return True
    in_code = ABOUT_ELSE.search(said_here) is not None
    of_code = found["form"] == "s" or in_code or _SAMPLE.search(before) is not None
    return of_code if of_a_program else found["form"] == "s" and in_code


def _is_told_of(plain: str, found: regex.Match[str]) -> bool:
    """Whether a sentence that begins with a verdict is about an exercise, or one that somebody else wrote."""
    before, after = _around(plain, found)
    around = f"{before} {found[0][-20:]}{after}"
    return _TOLD_OF.search(around) is not None and _OF_A_REVIEW.search(around) is None


def _around(plain: str, found: regex.Match[str]) -> tuple[str, str]:
    """What stands before and after an order in its sentence, or near it in one that is longer than any."""
    first, last = max(0, found.start() - _LONGEST), min(len(plain), found.end() + _LONGEST)
    starts = [end.end() for end in _END_OF_SENTENCE.finditer(plain, first, found.start())]
    end = _END_OF_SENTENCE.search(plain, found.end(), last)
    return plain[starts[-1] if starts else first : found.start()], plain[found.end() : end.end() if end else last]
