"""What is left when an operation has nothing to add: the same task in other words."""

from __future__ import annotations

import re

from resources.language_models.offline.lexicon import draw

LEAD_SYNONYMS = {
    "write": "compose",
    "compose": "write",
    "draft": "write",
    "create": "produce",
    "generate": "produce",
    "list": "name",
    "name": "list",
    "explain": "describe",
    "describe": "explain",
    "suggest": "propose",
    "recommend": "suggest",
    "calculate": "compute",
    "compute": "calculate",
    "classify": "categorise",
    "decide": "determine",
    "determine": "decide",
    "identify": "find",
    "find": "identify",
    "summarize": "sum up",
    "summarise": "sum up",
    "rewrite": "rephrase",
    "correct": "fix",
    "make": "create",
    "give": "provide",
    "tell": "say",
    "extract": "pull out",
    "convert": "turn",
    "translate": "render",
}
"""Lead verbs and what a rewording says instead."""

_LEAD = re.compile(r"\A(\s*)([A-Z][a-z]+)\b(?=\s+[\w\"'“‘])")


def reword(text: str, replica: int) -> str:
    """`text` with the same meaning in other words: a synonym of its lead verb, a politeness, or thanks."""
    options = [_with_thanks(text)]
    if (match := _LEAD.match(text)) and (synonym := LEAD_SYNONYMS.get(match.group(2).lower())):
        rest = text[match.end(2) :]
        options.append(match.group(1) + synonym.capitalize() + rest)
        options.append(f"{match.group(1)}Please {match.group(2).lower()}{rest}")
        options.append(f"{match.group(1)}I would like you to {match.group(2).lower()}{rest}")
    return options[draw(len(options), "reword", text, replica)]


def _with_thanks(text: str) -> str:
    body = text.rstrip()
    return "Please help me with this: " + body if body.endswith(":") else f"{body} Thank you in advance."
