"""Accepted edits to label by hand, blind to the policy: labels stay with their edits when they are drawn again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction

Label = Literal["sound", "cosmetic", "broken"]
"""`sound`: it asks for something else or more, and can be answered. `cosmetic`: it asks for the same. `broken`: it
contradicts itself, lost what it needs, or is no instruction."""


@dataclass(frozen=True)
class Drawn:
    """An accepted edit."""

    policy: str
    reviewer: str
    before: str
    after: str
    label: Label | None = None


def draw_sample(
    accepted: Mapping[tuple[str, str], Sequence[tuple[Instruction, Instruction]]], each: int, file: Path
) -> None:
    """Write `each` different edits of every policy and reviewer to `file`, by the hash of their texts.

    Labels that `file` has stay with their edits.
    """
    labels: dict[tuple[str, str], Label | None] = {(one.before, one.after): one.label for one in read_labels(file)}
    drawn = list[Drawn]()
    for (policy, reviewer), edits in accepted.items():
        texts = {(_shown(before), _shown(after)) for before, after in edits}
        taken = sorted(texts, key=lambda pair: content_hash("transfer sample", *pair))[:each]
        drawn += [Drawn(policy, reviewer, *pair, labels.get(pair)) for pair in taken]
    shuffled = sorted(drawn, key=lambda one: content_hash("order", one.before, one.after, one.policy, one.reviewer))
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in shuffled]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_labels(file: Path) -> list[Drawn]:
    """What `file` holds; nothing where there is none."""
    if not file.exists():
        return []
    return [Drawn(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines() if line]


def _shown(instruction: Instruction) -> str:
    return f"{instruction.text}\n\n{instruction.input}" if instruction.input else instruction.text
