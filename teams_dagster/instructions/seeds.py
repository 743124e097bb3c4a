"""Seeds: the instructions people wrote, read from a file and checked row by row.

Seeds may be in any language: a language model rewrites what it can read. The offline rules read English only, so
`scripts` counts the writing systems for whoever wants to warn. Texts are plain data here, whatever they contain;
only control characters and what UTF-8 cannot say are refused.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.column_names import NAMED_FOR_INSTRUCTIONS
from teams_dagster.instructions.file_rows import FileRow, SeedFileError
from teams_dagster.instructions.near_duplicates import same_text_key
from teams_dagster.instructions.ngrams import NgramIndex
from teams_dagster.instructions.seed_cells import Refused, SeedRefusal
from teams_dagster.instructions.seed_files import read_rows
from teams_dagster.instructions.seed_rows import MAX_CHARACTERS, instruction_in
from teams_dagster.instructions.verdict_orders import orders_a_verdict

_DETAIL_CHARACTERS = 200


_REMEDIES = {
    SeedRefusal.BROKEN: "Write the file again with a JSON or CSV library.",
    SeedRefusal.NO_INSTRUCTION_COLUMN: f"Name the column of the instructions {' or '.join(NAMED_FOR_INSTRUCTIONS)}.",
    SeedRefusal.EMPTY: "Give every row an instruction.",
    SeedRefusal.NOT_TEXT: "Write every cell as text, and a conversation as a list of turns.",
    SeedRefusal.NOT_UTF8: "Save the file as UTF-8.",
    SeedRefusal.ESCAPED: "Unescape the texts before they are written, such as with html.unescape of Python.",
    SeedRefusal.CONTROL_CHARACTERS: "Remove the control characters.",
    SeedRefusal.TOO_LONG: f"Shorten the instructions, in English to {MAX_CHARACTERS:,} letters, or check that one"
    " row is one instruction.",
    SeedRefusal.MULTI_TURN: "Write each conversation's task as one instruction, with the context it needs in `input`.",
    SeedRefusal.TOOLS: "Use seeds that are answered in words, without tools.",
    SeedRefusal.INJECTION: "Take out the words that order a verdict.",
    SeedRefusal.DUPLICATE: "Give different instructions.",
    SeedRefusal.CONTAMINATED: "Use seeds that are not taken from what the models are scored on.",
}


@dataclass(frozen=True)
class Seed:
    """An instruction that people wrote, with the answer they gave, if any."""

    seed_id: str
    instruction: Instruction
    response: str
    source: str
    """Name of the file."""
    row: int
    """Counted from 1, without a header; the line in a JSONL file."""


@dataclass(frozen=True)
class RefusedSeed:
    """A row that is not used, and why."""

    source: str
    row: int
    reason: SeedRefusal
    detail: str
    """For people: at most 200 characters, control characters escaped."""


@dataclass(frozen=True)
class SeedLibrary:
    """What a seed file gave: every row is in `seeds` or in `refused`, in the order of the file."""

    seeds: tuple[Seed, ...]
    refused: tuple[RefusedSeed, ...]
    source: str
    sha256: str
    """Of the file's bytes."""


def seed_id_of(instruction: Instruction) -> str:
    """The id of a seed: a hash of its text and input, whatever file and row it stands in."""
    return content_hash("seed", instruction.text, instruction.input)


def shipped_seeds_path() -> Path:
    """The seeds that come with the product."""
    return Path(__file__).parent / "data" / "seeds.jsonl"


def load_seeds(path: Path, *, evaluation_texts: Iterable[str] = ()) -> SeedLibrary:
    """The seeds in `path` (JSON, JSONL, CSV or Parquet), without those that `evaluation_texts` contaminate.

    Raises `SeedFileError` for a file that cannot be read as a whole or that has no usable row.
    """
    forbidden = NgramIndex(evaluation_texts)
    seeds: list[Seed] = []
    refused: list[RefusedSeed] = []
    first_rows: dict[str, int] = {}
    for file_row in read_rows(path):
        try:
            instruction, response = _instruction(file_row)
            _refuse_contaminated(instruction, response, forbidden)
            first = first_rows.setdefault(same_text_key(instruction), file_row.row)
            if first != file_row.row:
                raise Refused(SeedRefusal.DUPLICATE, f"the same as row {first}, but for case and white space")
        except Refused as refusal:
            refused.append(RefusedSeed(path.name, file_row.row, refusal.reason, _shown(str(refusal))))
        else:
            seeds.append(Seed(seed_id_of(instruction), instruction, response, path.name, file_row.row))
    if not seeds:
        raise SeedFileError(_no_usable_row(path.name, refused))
    return SeedLibrary(tuple(seeds), tuple(refused), path.name, file_sha256(path))


def scripts(seeds: Iterable[Seed]) -> dict[str, int]:
    """How many seeds are written mostly in each script, by its Unicode name (`LATIN`, `CYRILLIC`, `CJK`).

    A script is not a language: French counts as LATIN.
    """
    return dict(Counter(_script(seed.instruction.text) for seed in seeds).most_common())


def _script(text: str) -> str:
    letters = Counter(unicodedata.name(letter, "UNKNOWN").split()[0] for letter in text if letter.isalpha())
    return letters.most_common(1)[0][0] if letters else "NONE"


def _no_usable_row(name: str, refused: list[RefusedSeed]) -> str:
    if not refused:
        return f"{name}: it has no rows. Give it one instruction a row."
    counts = Counter(row.reason for row in refused).most_common()
    listed = ", ".join(f"{count} {reason.value}" for reason, count in counts)
    return f"{name}: no usable row ({listed}). Row {refused[0].row}: {refused[0].detail}. {_REMEDIES[counts[0][0]]}"


def _instruction(row: FileRow) -> tuple[Instruction, str]:
    """The instruction and the response in a row. Raises `Refused`."""
    if row.cells is None:
        raise Refused(SeedRefusal.BROKEN, row.broken)
    instruction, response = instruction_in(row.cells)
    if orders_a_verdict(instruction):
        raise Refused(
            SeedRefusal.INJECTION, "it tells the reviewer which verdict to give, so no edit of it would count"
        )
    return instruction, response


def _refuse_contaminated(instruction: Instruction, response: str, forbidden: NgramIndex) -> None:
    shared = forbidden.overlap(instruction.text, instruction.input, response)
    if shared is not None:
        raise Refused(SeedRefusal.CONTAMINATED, f"shared with an evaluation text: {shared}")


def _shown(text: str) -> str:
    """`text` on one line, at most 200 characters, with what a terminal or a page could act on escaped."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return escaped if len(escaped) <= _DETAIL_CHARACTERS else escaped[: _DETAIL_CHARACTERS - 3] + "..."
