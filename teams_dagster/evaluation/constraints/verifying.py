"""Whether a reply keeps a constraint: most kinds are checked as an answer of the dataset is, two are only asked here.

Strict and loose are what IFEval calls so (Zhou et al. 2023, arXiv 2311.07911): loose forgives an opening or closing
line that is not part of the answer, and asterisks of mark-up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from teams_dagster.dataset.quality.constraints.checking import holds
from teams_dagster.dataset.quality.constraints.constraint import Constraint

_FENCED = re.compile(r"(?:```|~~~)[^\n`~]*\n(?P<inside>.*?)\n?[ \t]*(?:```|~~~)", re.DOTALL)


@dataclass(frozen=True)
class JsonKeys:
    """The reply is one JSON object that has these keys, and nothing beside it but the fence of a code block."""

    keys: tuple[str, ...]
    kind: str = "json_keys"

    def kept_by(self, reply: str) -> bool:
        """Whether `reply` keeps it. An object that says one thing twice is none."""
        text = reply.strip()
        fenced = _FENCED.fullmatch(text)
        try:
            read = json.loads(fenced["inside"] if fenced else text, parse_int=str, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            return False
        return isinstance(read, dict) and set(self.keys) <= read.keys()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of an object. Raises ValueError where a key stands twice."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key stands twice")
    return read


@dataclass(frozen=True)
class Parts:
    """The reply has so many parts, none of them empty, with a line that is the mark and nothing else between them."""

    mark: str
    count: int
    kind: str = "parts"

    def kept_by(self, reply: str) -> bool:
        """Whether `reply` keeps it."""
        parts = re.split(rf"^[ \t]*{re.escape(self.mark)}[ \t]*$", reply, flags=re.MULTILINE)
        return len(parts) == self.count and all(part.strip() for part in parts)


Check = Constraint | JsonKeys | Parts


def kept(check: Check, reply: str) -> bool:
    """Whether `reply` keeps the constraint as it stands. An empty reply keeps none."""
    if not reply.strip():
        return False
    return holds(check, reply) if isinstance(check, Constraint) else check.kept_by(reply)


def kept_loosely(check: Check, reply: str) -> bool:
    """Whether `reply` keeps it, or would without its first line, its last line or its asterisks."""
    return any(kept(check, variant) for variant in variants(reply))


def variants(reply: str) -> Iterator[str]:
    """The reply itself, and it with any of first line, last line and asterisks taken out."""
    lines = reply.strip().split("\n")
    for without_first, without_last, without_asterisks in product((False, True), repeat=3):
        if not (without_first or without_last):
            text = reply
        else:
            text = "\n".join(lines[1 if without_first else 0 : -1 if without_last else None]).strip()
        yield text.replace("*", "") if without_asterisks else text
