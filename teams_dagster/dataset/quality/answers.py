"""What should not be among kept samples: words of our prompts, answers that decline, answers of a word or two."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.instructions.elimination import answer_leaks_prompt_words, eliminate_answer, leaks_prompt_words
from teams_dagster.instructions.ngrams import words

ROWS_AT_ONCE = 1_000

SHOWN = 5

FEWEST_WORDS = 3
"""An answer of fewer words teaches little but to be curt."""

_LONGEST_OF_FEW_WORDS = 100
"""Characters above which an answer has enough words, whatever the language."""

_DECLINES = re.compile(
    r"\W*(?:(?:(?:i['’]?m|i am)(?: very| so| really)? sorry|sorry|my apologies|i apologi[sz]e|unfortunately)\b"
    r"[^.!?\n]{0,40}?)?"
    r"\b(?:i|we)(?: can(?:no|['’])t| can not|(?: am|['’]?m) (?:unable|not able) to| won['’]t| will not)(?: be able to)?"
    r" (?:access|answer|assist|browse|complete|comply|create|discuss|do th|engage|fulfil|generate|give|help|offer|open"
    r"|produce|provide|see|share|translate|view|write)"
    r"|\W*as an? (?:ai|artificial intelligence|(?:large )?language model)\b",
    re.IGNORECASE,
)
"""How answers begin that decline, in English: an apology of many words passes the elimination rules."""


@dataclass
class KeptTexts:
    """What the kept samples of a generation hold. Lists have at most five ids, counts are of all."""

    kept: int = 0
    leaking: int = 0
    declining: int = 0
    short: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Sample ids by kind."""

    def share(self, kind: str) -> float:
        """The share of the kept samples that are of a kind."""
        return getattr(self, kind) / self.kept if self.kept else 0.0

    def note(self, kind: str, sample_id: str) -> None:
        """Count a sample as of a kind."""
        setattr(self, kind, getattr(self, kind) + 1)
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(sample_id)


def declines(response: str, instruction: Instruction | None = None) -> bool:
    """Whether an answer declines the task, or breaks a rule that answers are eliminated by."""
    return bool(_DECLINES.match(response)) or eliminate_answer(response, instruction) is not None


def too_short(response: str) -> bool:
    """Whether an answer has fewer than `FEWEST_WORDS` words; in scripts without spaces each character is one."""
    return len(response) < _LONGEST_OF_FEW_WORDS and len(words(response)) < FEWEST_WORDS


def kept_texts(samples: Path, transitions: Path, instructions: Path) -> KeptTexts:
    """Read the kept samples of a generation, a batch at a time.

    Prompt words that a rewrite's parent had are not leaked, so parents are looked up, of suspicious samples alone.
    """
    found = KeptTexts()
    suspects: dict[str, tuple[str, Instruction]] = {}
    columns = ["sample_id", "transition_id", "instruction", "input", "response", "accepted"]
    for batch in pq.ParquetFile(samples).iter_batches(ROWS_AT_ONCE, columns=columns):
        for row in batch.to_pylist():
            if not row["accepted"]:
                continue
            found.kept += 1
            instruction, response = Instruction(row["instruction"], row["input"]), row["response"] or ""
            if answer_leaks_prompt_words(response, instruction):
                found.note("leaking", row["sample_id"])
            elif leaks_prompt_words(instruction):
                suspects[row["transition_id"]] = (row["sample_id"], instruction)
            if declines(response, instruction):
                found.note("declining", row["sample_id"])
            if too_short(response):
                found.note("short", row["sample_id"])
    parents = _parents(list(suspects), transitions, instructions)
    for transition_id, (sample_id, instruction) in suspects.items():
        if leaks_prompt_words(instruction, parents.get(transition_id)):
            found.note("leaking", sample_id)
    return found


def _parents(transition_ids: list[str], transitions: Path, instructions: Path) -> dict[str, Instruction]:
    """The texts that these transitions edited, where they are stored."""
    if not transition_ids:
        return {}
    statement = (
        "select transition_id, text, input from read_parquet($transitions)"
        " join read_parquet($instructions) as before on before.instruction_id = parent_id"
        " where list_contains($ids, transition_id)"
    )
    files = {"transitions": str(transitions), "instructions": str(instructions), "ids": transition_ids}
    with scratch() as connection:
        return {row[0]: Instruction(row[1], row[2]) for row in connection.execute(statement, files).fetchall()}
