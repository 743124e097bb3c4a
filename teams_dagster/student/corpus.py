"""The texts the embedded base is pre-trained on: written for this product, shipped with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.ngrams import ngrams


@dataclass(frozen=True)
class Dialogue:
    """One instruction with its answer, to be rendered in the student's chat template."""

    instruction: Instruction
    response: str


def passages() -> list[str]:
    """Plain prose, one passage each."""
    text = (files("teams_dagster.student") / "texts" / "passages.txt").read_text(encoding="utf-8")
    return text.strip().split("\n\n")


def dialogues() -> list[Dialogue]:
    """Instructions with answers: explanation, writing, classification, arithmetic, code, extraction, lists."""
    lines = (files("teams_dagster.student") / "texts" / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Dialogue(Instruction(row["instruction"], row["input"]), row["response"]) for row in rows]


def corpus_texts() -> list[str]:
    """Every shipped text as one string each; what a tokenizer is trained on and a contamination check reads."""
    spoken = (
        "\n\n".join(part for part in (d.instruction.text, d.instruction.input, d.response) if part) for d in dialogues()
    )
    return [*passages(), *spoken]


def corpus_version() -> str:
    """Content hash of every shipped text."""
    return content_hash("pretraining texts", corpus_texts())


def contaminated(texts: Iterable[str]) -> list[str]:
    """Those of `texts` (seeds, samples) that share a run of 13 words with the pre-training texts."""
    seen: set[str] = set()
    for text in corpus_texts():
        seen |= ngrams(text)
    return [text for text in texts if not seen.isdisjoint(ngrams(text))]
