"""An instruction's sentences, and which of them speak of the whole answer.

A pattern alone cannot tell a constraint from its subject ("Explain why tweets have at most 280 characters"), a part of
an answer ("then give it a title of three words") or a program's input ("a function that takes at most ten words"). So
a sentence is read only where it is a command, what is quoted is no command, and nothing before the pattern in the
sentence makes it speak of something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

QUOTED = "\ufdd0[0-9]+\ufdd1"
"""What stands in a sentence for a quoted text: a number between two of Unicode's noncharacters, which no text has."""

_MARK = re.compile("\ufdd0([0-9]+)\ufdd1")
_NO_MARKS = {0xFDD0: None, 0xFDD1: None}

LARGEST = 10**18
"""What a larger number counts as: no answer has so many of anything, and Python refuses to read thousands of digits."""

_QUOTES = re.compile(
    r"\"(?P<double>[^\"\n]+)\"|“(?P<curly>[^“”\n]+)”|‘(?P<single_curly>[^‘’\n]+)’"
    r"|(?<![\w'])'(?P<single>(?:[^'\n]|(?<=\w)'(?=\w))++)'(?!\w)"
)
_BREAK = re.compile(r"(?<=[.!?;])\s+|\n+")

_COMMANDS = (
    "answer|respond|reply|write|compose|draft|describe|explain|summari[sz]e|give|list|tell|create|make|provide|present"
    "|produce|generate|show|state|name|suggest|define|discuss|compare|outline|rewrite|rephrase|paraphrase|translate"
    "|formulate|return|output|format|use|keep|limit|begin|start|end|finish|conclude|include|mention|extract|report"
    "|avoid|do not|don't|stay|put|highlight|wrap|add|organi[sz]e|your|the (?:answer|response|reply|output|result|text)"
)
_POLITE = (
    r"(?:please,?\s+|also,?\s+|finally,?\s+|now,?\s+|(?:but|and)\s+|(?:you (?:must|should|have to)|make sure to)\s+)*"
)
_COMMAND = re.compile(rf"{_POLITE}(?P<verb>{_COMMANDS})\b", re.IGNORECASE)

_OF_THE_ANSWER = re.compile(
    rf"{_POLITE}(?:answer|respond|reply|return|output|format|present|use|keep|limit|stay|your|avoid|do not|don't"
    r"|include|wrap|write (?:exactly|at (?:least|most)|no more than|between)"
    r"|the (?:answer|response|reply|output|result|text))\b"
    r"|.*\b(?:your|the)\s+(?:(?:whole|entire|full|final)\s+)?(?:answer|response|reply|output|result)\b",
    re.IGNORECASE,
)
_TASKS = re.compile(
    r"\band (?:then )?(?:write|describe|explain|summari[sz]e|give|list|tell|create|provide|compare|translate|suggest"
    r"|define|discuss|outline|name|add)\b|\bthen\b|\bfollowed by\b",
    re.IGNORECASE,
)
_PARTS = re.compile(
    r"\b(?:each|every|per|apiece|respectively|either|both|title|heading|headline|caption|subject line|first|second"
    r"|third|last|opening|closing|introduction|conclusion|options?|versions?|variants?)\b",
    re.IGNORECASE,
)
_PROGRAMS = re.compile(
    r"\b(?:functions?|code(?!\s+block)|scripts?|programs?|regex|regular expression|sql|queries|query|class|method"
    r"|algorithm|html|python|javascript|java|bash|parser?|api)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"\b(?:that|which|who|whose|why|how|if|when|where|whether|because|unless)\b", re.IGNORECASE)
_WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)


@dataclass(frozen=True)
class Sentence:
    """A sentence of an instruction that commands something."""

    text: str
    """With what is quoted replaced by marks: see QUOTED."""
    quoted: tuple[str, ...]
    """What the marks of the instruction stand for, by their numbers."""
    of_whole_answer: bool
    """Whether what it says of a size holds for the whole answer, not for a part of it or one of several tasks."""
    is_about_programs: bool

    def texts_in(self, part: str) -> tuple[str, ...]:
        """The quoted texts whose marks are in `part`, without the punctuation at their ends."""
        return tuple(self.quoted[int(mark)].strip().rstrip(".,;:") for mark in _MARK.findall(part))

    def said(self, part: str) -> str:
        """`part` as the instruction has it."""
        return _MARK.sub(lambda mark: f'"{self.quoted[int(mark[1])]}"', part)

    def finds(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Where the pattern matches and nothing before it makes the sentence speak of something else."""
        for found in pattern.finditer(self.text):
            before, after = self.text[: found.start()], self.text[found.end() :]
            if _ELSEWHERE.search(before) or (_WHAT.search(before) and re.search(r"\w", after)):
                continue
            yield found


def number_of(digits: str) -> int:
    """The number that a text writes in digits, with commas or without; LARGEST for any above it."""
    plain = digits.replace(",", "").lstrip("0")
    return min(int(plain or 0), LARGEST) if len(plain) <= 20 else LARGEST


def sentences_of(text: str) -> tuple[Sentence, ...]:
    """The commands in an instruction's text, in their order; questions and statements are none."""
    quoted: list[str] = []

    def mark(found: re.Match[str]) -> str:
        quoted.append(next(group for group in found.groups() if group is not None))
        return f"\ufdd0{len(quoted) - 1}\ufdd1"

    masked = _QUOTES.sub(mark, text.translate(_NO_MARKS))
    parts = [part.strip(" \t-*•") for part in _BREAK.split(masked)]
    commands = [part for part in parts if _COMMAND.match(part) and not part.endswith("?")]
    programs = _PROGRAMS.search(masked) is not None
    tasks = [part for part in parts if part and not _OF_THE_ANSWER.match(part)]
    alone = len(tasks) <= 1 and not _TASKS.search(masked)
    return tuple(
        Sentence(
            text=part,
            quoted=tuple(quoted),
            of_whole_answer=(alone or (_OF_THE_ANSWER.match(part) is not None and not _TASKS.search(part)))
            and not _PARTS.search(part),
            is_about_programs=programs,
        )
        for part in commands
    )
