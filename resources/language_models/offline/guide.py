"""The guide, by a plain heuristic: it sees its prompt and nothing else, and knows of each rule its turn alone.

It goes through the operations in the order of their turns on a text of this look, and names the first that was not
tried on it yet. When everything was tried it names a brand-new instruction, which can be tried on anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from resources.language_models.offline.rules import RULES, Look
from teams_dagster.core.protocol import Message

_TEXT = re.compile(r"<instruction>\n(.*)\n</instruction>", re.DOTALL)
_INPUT = re.compile(r"</instruction>\s*<input>\n(.*)\n</input>", re.DOTALL)
_TRIED = re.compile(r"^- (\w+)(?:: (accepted|refused))?$", re.MULTILINE)
_HISTORY = "Operations so far, oldest first:"

_FEW_WORDS = 12


def proposal(messages: Sequence[Message]) -> str:
    """The name of an operation, for a guide's prompt. Raises ValueError for another prompt."""
    user = messages[-1].content
    told, found, history = user.rpartition(_HISTORY)
    text = _TEXT.search(told)
    if not found or text is None:
        raise ValueError("this is no guide's question: it shows no instruction and no operations so far")
    material = _INPUT.search(told)
    order, renewing = _order(_look(text.group(1), material.group(1) if material else ""))
    tried = _tried_since_new(_TRIED.findall(history), renewing)
    return next((name for name in (*order, *renewing) if name not in tried), renewing[0])


def _tried_since_new(past: list[tuple[str, str]], renewing: Collection[str]) -> set[str]:
    """What was tried since the last brand-new instruction."""
    new = [index for index, (name, verdict) in enumerate(past) if name in renewing and verdict == "accepted"]
    return {name for name, _ in past[new[-1] + 1 if new else 0 :]}


def _look(text: str, material: str) -> Look:
    return Look(
        is_question=text.rstrip().endswith("?"),
        has_digits=any(character.isdigit() for character in text),
        is_short=len(text.split()) <= _FEW_WORDS,
        has_input=bool(material),
    )


def _order(look: Look) -> tuple[list[str], list[str]]:
    """The operations that work on a text of this look, best first; and those that replace it by a new one."""
    working = [operation for operation, rule in RULES.items() if not rule.renews]
    working.sort(key=lambda operation: RULES[operation].turn(look))
    renewing = [operation for operation, rule in RULES.items() if rule.renews]
    return [operation.value for operation in working], [operation.value for operation in renewing]
