"""The guide, by a plain heuristic: it sees its prompt and nothing else, and knows none of the other rules.

It goes through the operations in an order that the look of the text suggests, and names the first that was not tried
on it yet. When everything was tried it names a brand-new instruction, which can be tried on anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    tried = {name for name, _ in _since_new(_TRIED.findall(history))}
    for name in _order(text.group(1), material.group(1) if material else ""):
        if name not in tried:
            return name
    return "breadth"


def _since_new(past: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What was tried since the last brand-new instruction."""
    for index in reversed(range(len(past))):
        if past[index] == ("breadth", "accepted"):
            return past[index + 1 :]
    return past


def _order(text: str, material: str) -> list[str]:
    """The operations that suit a text of this look, best first."""
    order = ["add_constraints", "deepening", "increase_reasoning_steps", "complicate_input"]
    if text.rstrip().endswith("?"):
        order = ["deepening", "increase_reasoning_steps", "add_constraints", "complicate_input"]
    if any(character.isdigit() for character in text):
        order.remove("increase_reasoning_steps")
        order.insert(0, "increase_reasoning_steps")
    if material:
        order.remove("complicate_input")
        order.insert(1, "complicate_input")
    place = 1 if len(text.split()) <= _FEW_WORDS else len(order)
    return [*order[:place], "concretizing", *order[place:]]
