"""The instruction and the answer in a row of a seed file.

Columns understood: Alpaca (`instruction`, `input`, `output`) and self-instruct (`instruction`, `instances[].input`,
`instances[].output`, of which the first instance is taken). `prompt` or `question` stand for `instruction`, `context`
for `input`, `response`, `answer`, `completion` or `chosen` for `output`, as do the names of other languages
(`column_names`). Of columns that stand for the same, the first
with something usable counts; an input and another context are one too many. A conversation (`seed_conversations`) is a
seed where it is one user's turn, with an answer or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from teams_dagster.core.instruction import Instruction, from_user_message, user_message
from teams_dagster.core.type_guards import is_list, is_mapping
from teams_dagster.instructions.column_names import INPUTS, INSTRUCTIONS, OUTPUTS
from teams_dagster.instructions.file_rows import (
    CONTEXT_COLUMNS,
    INSTANCES_COLUMN,
    MEDIA_COLUMNS,
    TOOL_COLUMNS,
    column_name,
    joined_name,
)
from teams_dagster.instructions.seed_cells import NO_TEXT, Refused, SeedRefusal, first_text, holds_nothing
from teams_dagster.instructions.seed_conversations import Exchange, exchange_in, is_plain

MAX_TOKENS = 5_000
"""The longest instruction and input together, by `about_tokens`: it leaves a rewrite room in an 8k context."""

MAX_CHARACTERS = 4 * MAX_TOKENS
"""What that is in English."""

NO_INPUT = ("<noinput>", *NO_TEXT)
"""What self-instruct and tables write for "no input"."""

_RENDERED = re.compile(
    r"\s*(<\|im_start\|>|<\|begin_of_text\|>|<\|start_header_id\|>|<start_of_turn>|<bos>|(?:<s>\s*)?\[INST\]"
    r"|<\|(?:user|system)\|>|(?i:(?:#{2,3} ?)?(?:human|user):(?=.*\bassistant:))"
    r"|(?=.*^### Instruction:.*^### Response:)\S+)",
    re.DOTALL | re.MULTILINE,
)
"""How a text begins that a chat template has written: it holds roles and perhaps several turns."""


def about_tokens(text: str) -> float:
    """About how many tokens a text takes, whatever its script: four ASCII characters are one, or three other bytes.

    So a Chinese character is one, a Cyrillic letter two thirds. Tokenizers of many languages need fewer.
    """
    beyond_ascii = 0 if text.isascii() else sum(not character.isascii() for character in text)
    ascii_characters = len(text) - beyond_ascii
    return ascii_characters / 4 + (len(text.encode("utf-8", "surrogatepass")) - ascii_characters) / 3


def instruction_in(cells: Mapping[str, Any]) -> tuple[Instruction, str]:
    """The instruction of a row and the answer that people gave, "" where it has none. Raises `Refused`.

    An answer that is no text costs the answer alone.
    """
    if not any(cells.values()):
        raise Refused(SeedRefusal.EMPTY, "the row is empty")
    _refuse_no_data(cells)
    _refuse_what_would_be_lost(cells)
    exchange = exchange_in(cells)
    cells = {**cells, **_first_instance(cells)}
    if exchange is None or any(is_plain(column, cells.get(column)) for column in INSTRUCTIONS):
        instruction = Instruction(_asked(cells), _material(cells))
        response = _answer(cells) or _answer_in(exchange, instruction)
    else:
        instruction = from_user_message(exchange.asked)
        response = exchange.answer or _answer(cells)
    if cells.get("label") is False:  # TRL's unpaired preferences: an answer that somebody did not want
        response = ""
    _check_text(instruction)
    return Instruction(instruction.text.strip(), instruction.input), response.strip()


def _refuse_no_data(cells: Mapping[str, Any]) -> None:
    """Raises `Refused` for a row that repeats the header, and for one whose cells all stand in single quotes."""
    texts = {column: cell.strip("\ufeff ") for column, cell in cells.items() if isinstance(cell, str) and cell.strip()}
    if len(texts) < 2:
        return
    if all(column_name(text) == column for column, text in texts.items()):
        raise Refused(SeedRefusal.BROKEN, "it repeats the names of the columns; take the row out")
    if all(len(text) > 2 and text[0] == text[-1] == "'" for text in texts.values()):
        raise Refused(
            SeedRefusal.BROKEN, "its cells stand in single quotes, which are no quotes of CSV; write double ones"
        )


def _refuse_what_would_be_lost(cells: Mapping[str, Any]) -> None:
    """Raises `Refused` where a row has more than an instruction with its input: a system prompt, tools, an image."""
    for columns, reason, says in (
        (CONTEXT_COLUMNS, SeedRefusal.MULTI_TURN, "a seed is one instruction with its input"),
        (TOOL_COLUMNS, SeedRefusal.TOOLS, "a seed is answered without tools"),
        (MEDIA_COLUMNS, SeedRefusal.NOT_TEXT, "a seed is text alone"),
    ):
        lost = {joined_name(column) for column in columns}
        column = next(
            (name for name, cell in cells.items() if joined_name(name) in lost and not holds_nothing(cell)), None
        )
        if column is not None:
            raise Refused(reason, f"`{column}` is not empty; {says}")


def _check_text(instruction: Instruction) -> None:
    """Raises `Refused` for an instruction that is too long, says nothing, or that a chat template has written."""
    text, material = instruction.text, instruction.input
    if (tokens := about_tokens(text) + about_tokens(material)) > MAX_TOKENS:
        found = f"about {tokens:,.0f} tokens of instruction and input ({len(text) + len(material):,} characters)"
        raise Refused(SeedRefusal.TOO_LONG, f"{found}; at most {MAX_TOKENS:,}, {MAX_CHARACTERS:,} letters in English")
    if not any(character.isalnum() for character in text):
        raise Refused(SeedRefusal.EMPTY, f"no letter or digit in the instruction {text!r}")
    if text.strip().lower() in NO_TEXT:
        raise Refused(SeedRefusal.EMPTY, f"the instruction is {text.strip()!r}, which tables write for no text")
    if rendered := _RENDERED.match(text):
        raise Refused(
            SeedRefusal.MULTI_TURN,
            f"it is what a chat template wrote ({rendered[1]!r}); give the instruction, or the turns as `messages`",
        )


def _asked(cells: Mapping[str, Any]) -> str:
    columns = [column for column in INSTRUCTIONS if column in cells]
    if not columns:
        raise Refused(SeedRefusal.NO_INSTRUCTION_COLUMN, f"columns found: {', '.join(cells)}")
    return first_text(cells, columns) or ""


def _material(cells: Mapping[str, Any]) -> str:
    texts = {column: text for column in INPUTS if (text := _input_text(cells, column))}
    if len({text.strip() for text in texts.values()}) > 1:
        both = " and ".join(f"`{column}`" for column in texts)
        raise Refused(SeedRefusal.MULTI_TURN, f"{both} are not empty; a seed is one instruction with its input")
    return next(iter(texts.values()), "")


def _input_text(cells: Mapping[str, Any], column: str) -> str:
    text = first_text(cells, [column]) or ""
    return "" if text.strip().lower() in NO_INPUT else text


def _answer(cells: Mapping[str, Any]) -> str:
    """The first answer that is text, or a list of one; a number, another list or an object is none, and no reason to
    refuse the question.
    """
    for column in OUTPUTS:
        cell = cells.get(column)
        alone = cell[0] if is_list(cell) and len(cell) == 1 and isinstance(cell[0], str) else cell
        try:
            text = first_text({column: alone}, [column])
        except Refused:
            continue
        if text and text.strip().lower() != "nan":
            return text
    return ""


def _answer_in(exchange: Exchange | None, instruction: Instruction) -> str:
    """The answer in a conversation beside an instruction, where it is one to that."""
    if exchange is None or exchange.asked.strip() not in ("", instruction.text.strip(), user_message(instruction)):
        return ""
    return exchange.answer


def _first_instance(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    instances = cells.get(INSTANCES_COLUMN) or [dict[str, Any]()]
    if not is_list(instances) or not is_mapping(instances[0]):
        raise Refused(SeedRefusal.NOT_TEXT, "`instances` must be a list of objects with `input` and `output`")
    return instances[0]
