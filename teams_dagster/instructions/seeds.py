"""Seeds: the instructions people wrote, read from a file and checked row by row.

Columns understood (case does not matter): Alpaca (`instruction`, `input`, `output`) and self-instruct (`instruction`,
`instances[].input`, `instances[].output`, of which the first instance is taken). `prompt` or `question` stand for
`instruction`, `context` for `input`, `response` or `answer` for `output`. Other columns are ignored.

Seeds may be in any language: a language model rewrites what it can read. The offline rules read English only, so
`scripts` counts the writing systems for whoever wants to warn. Texts are plain data here, whatever they contain;
only control characters and what UTF-8 cannot say are refused.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from teams_dagster.core.files import file_sha256
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.instructions.near_duplicates import same_text_key
from teams_dagster.instructions.ngrams import NgramIndex
from teams_dagster.instructions.seed_files import FileRow, SeedFileError, read_rows

MAX_TOKENS = 5_000
"""The longest instruction and input together, by `about_tokens`: it leaves a rewrite room in an 8k context."""

MAX_CHARACTERS = 4 * MAX_TOKENS
"""What that is in English."""

INSTRUCTION_COLUMNS = ("instruction", "prompt", "question")
INPUT_COLUMNS = ("input", "context")
OUTPUT_COLUMNS = ("output", "response", "answer")
NO_INPUT = "<noinput>"
"""What self-instruct files write for "no input"."""

_DETAIL_CHARACTERS = 200


class SeedRefusal(StrEnum):
    """Why a row of a seed file is not used."""

    BROKEN = "broken"
    """The row cannot be parsed."""
    NO_INSTRUCTION_COLUMN = "no_instruction_column"
    EMPTY = "empty"
    """No letter or digit in the instruction."""
    NOT_TEXT = "not_text"
    """A cell holds a number, a list or an object."""
    NOT_UTF8 = "not_utf8"
    CONTROL_CHARACTERS = "control_characters"
    """NUL and its kin; tabs and line ends are text."""
    TOO_LONG = "too_long"
    DUPLICATE = "duplicate"
    """The same as an earlier row but for case and white space."""
    CONTAMINATED = "contaminated"
    """Shares 13 words in a row with an evaluation text."""


_REMEDIES = {
    SeedRefusal.BROKEN: "Write the file again with a JSON or CSV library.",
    SeedRefusal.NO_INSTRUCTION_COLUMN: f"Name the column of the instructions {' or '.join(INSTRUCTION_COLUMNS)}.",
    SeedRefusal.EMPTY: "Give every row an instruction.",
    SeedRefusal.NOT_TEXT: "Write every cell as text.",
    SeedRefusal.NOT_UTF8: "Save the file as UTF-8.",
    SeedRefusal.CONTROL_CHARACTERS: "Remove the control characters.",
    SeedRefusal.TOO_LONG: "Shorten the instructions, or check that one row is one instruction.",
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


class _Refused(Exception):
    def __init__(self, reason: SeedRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def seed_id_of(instruction: Instruction) -> str:
    """The id of a seed: a hash of its text and input, whatever file and row it stands in."""
    return content_hash("seed", instruction.text, instruction.input)


def about_tokens(text: str) -> float:
    """About how many tokens a text takes, whatever its script: four ASCII characters are one, or three other bytes.

    So a Chinese character is one, a Cyrillic letter two thirds. Tokenizers of many languages need fewer.
    """
    characters = len(text)
    beyond_ascii = 0 if text.isascii() else sum(not character.isascii() for character in text)
    ascii_characters = characters - beyond_ascii
    return ascii_characters / 4 + (len(text.encode("utf-8", "surrogatepass")) - ascii_characters) / 3


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
    first_rows: dict[tuple[str, str], int] = {}
    for file_row in read_rows(path):
        try:
            instruction, response = _instruction(file_row)
            _refuse_contaminated(instruction, response, forbidden)
            first = first_rows.setdefault(same_text_key(instruction), file_row.row)
            if first != file_row.row:
                raise _Refused(SeedRefusal.DUPLICATE, f"the same as row {first}, but for case and white space")
        except _Refused as refusal:
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
    """The instruction and the response in a row. Raises `_Refused`."""
    if row.cells is None:
        raise _Refused(SeedRefusal.BROKEN, row.broken)
    if not any(row.cells.values()):
        raise _Refused(SeedRefusal.EMPTY, "the row is empty")
    text = _cell(row.cells, INSTRUCTION_COLUMNS)
    if text is None:
        raise _Refused(SeedRefusal.NO_INSTRUCTION_COLUMN, f"columns found: {', '.join(row.cells)}")
    cells = {**row.cells, **_first_instance(row.cells)}
    material = _cell(cells, INPUT_COLUMNS) or ""
    response = _cell(cells, OUTPUT_COLUMNS) or ""
    if (tokens := about_tokens(text) + about_tokens(material)) > MAX_TOKENS:
        found = f"about {tokens:,.0f} tokens of instruction and input ({len(text) + len(material):,} characters)"
        raise _Refused(SeedRefusal.TOO_LONG, f"{found}; at most {MAX_TOKENS:,}, {MAX_CHARACTERS:,} letters in English")
    if not any(character.isalnum() for character in text):
        raise _Refused(SeedRefusal.EMPTY, f"no letter or digit in the instruction {text!r}")
    if not material.strip() or material.strip().lower() == NO_INPUT:
        material = ""
    return Instruction(text.strip(), material), response.strip()


def _first_instance(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    instances = cells.get("instances") or [{}]
    if not isinstance(instances, list) or not isinstance(instances[0], Mapping):
        raise _Refused(SeedRefusal.NOT_TEXT, "`instances` must be a list of objects with `input` and `output`")
    return instances[0]


def _cell(cells: Mapping[str, Any], columns: tuple[str, ...]) -> str | None:
    """The text under the first of `columns` that there is, its line ends as `\\n`; "" for null. Raises `_Refused`."""
    column = next((column for column in columns if column in cells), None)
    if column is None:
        return None
    value = cells[column]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Refused(SeedRefusal.NOT_TEXT, f"`{column}` holds a {type(value).__name__}; write it as text")
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise _Refused(SeedRefusal.NOT_UTF8, f"`{column}` has bytes that are not UTF-8; save the file as UTF-8")
        if category == "Cc" and character not in "\t\n":
            raise _Refused(SeedRefusal.CONTROL_CHARACTERS, f"`{column}` holds U+{ord(character):04X}; remove it")
    return text


def _refuse_contaminated(instruction: Instruction, response: str, forbidden: NgramIndex) -> None:
    shared = forbidden.overlap(instruction.text, instruction.input, response)
    if shared is not None:
        raise _Refused(SeedRefusal.CONTAMINATED, f"shared with an evaluation text: {shared}")


def _shown(text: str) -> str:
    """`text` on one line, at most 200 characters, with what a terminal or a page could act on escaped."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return escaped if len(escaped) <= _DETAIL_CHARACTERS else escaped[: _DETAIL_CHARACTERS - 3] + "..."
