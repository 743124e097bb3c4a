"""The one question in a row that is a conversation, and its answer; what says more is refused, never flattened.

Forms: OpenAI's and TRL's `messages`, ShareGPT's `conversations`, TRL's `prompt` with `completion` or `chosen` as lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teams_dagster.instructions.column_names import INSTRUCTIONS
from teams_dagster.instructions.file_rows import CONVERSATION_COLUMNS
from teams_dagster.instructions.seed_cells import Refused, SeedRefusal, cell_text, holds_nothing, is_blank, parts_text
from teams_dagster.instructions.seed_turns import Turns, UnreadableTurns, content_of, role_of, turns_of

_USERS = ("user", "human", "prompter")
_ASSISTANTS = ("assistant", "gpt", "model", "bot", "ai", "chatgpt", "bing", "bard")
_SYSTEMS = ("system", "developer")
_TOOLS = ("tool", "function", "ipython", "observation", "function_call")
"""Roles that speak of tools, in OpenAI's form, ShareGPT's and Llama's."""
_CALLS = ("tool_calls", "function_call", "tool_responses", "tools", "functions")

_ANSWERS = ("completion", "chosen")
"""Columns that answer a `prompt` of turns: TRL's, and that of its preference sets."""


@dataclass(frozen=True)
class Exchange:
    """One user's turn with the answer to it, "" where it has none."""

    asked: str
    answer: str


def exchange_in(cells: Mapping[str, Any]) -> Exchange | None:
    """The one exchange of a row that is a conversation; None where it is none.

    An answer alone (`chosen` beside a `prompt` that is text) has an empty question. Raises `Refused` for a conversation
    that says more than a question and its answer, calls tools, or cannot be read.
    """
    column, turns = _conversation(cells)
    if column is None:
        _refuse_unreadable(cells)
        return None
    if any(_calls_tools(turn) for turn in turns):
        raise Refused(SeedRefusal.TOOLS, f"`{column}` has calls of tools; a seed is answered without any")
    said = [(role_of(turn), _text_in(column, turn), turn) for turn in turns]
    said = [turn for turn in said if turn[1] or turn[0] not in _SYSTEMS]
    asked = [text for role, text, _ in said if role in _USERS]
    answers = [(text, turn) for role, text, turn in said if role in _ASSISTANTS]
    in_order = [*(["user"] * len(asked)), *(["assistant"] * len(answers))]
    if len(asked) > 1 or len(answers) > 1 or len(in_order) != len(said) or (asked and said[0][0] not in _USERS):
        roles = ", ".join(role for role, _, _ in said[:6])
        raise Refused(
            SeedRefusal.MULTI_TURN,
            f"`{column}` has the turns {roles}; a seed is one user's turn, with an answer or none",
        )
    if not asked and column != "chosen":
        raise Refused(SeedRefusal.EMPTY, f"`{column}` has no user's turn")
    answer = next((text for text, turn in answers if turn.get("weight") != 0), "")
    return Exchange(asked[0] if asked else "", answer)


def is_plain(column: str, value: Any) -> bool:
    """Whether a cell holds text that is no conversation. Raises `Refused` for one that only begins like one."""
    return isinstance(value, str) and bool(value.strip()) and not _turns(column, value)


def _conversation(cells: Mapping[str, Any]) -> tuple[str | None, Turns]:
    """The column that holds a conversation, and its turns."""
    for column in CONVERSATION_COLUMNS:
        if turns := _turns(column, cells.get(column)):
            return column, turns
    if prompt := _turns("prompt", cells.get("prompt")):
        return "prompt", _answered(prompt, cells)
    if turns := _turns("chosen", cells.get("chosen")):
        return "chosen", turns
    return None, ()


def _answered(prompt: Turns, cells: Mapping[str, Any]) -> Turns:
    """The turns of a prompt with those that answer it, which may begin with the prompt's own."""
    for column in _ANSWERS:
        if turns := _turns(column, cells.get(column)):
            return turns if list(turns[: len(prompt)]) == list(prompt) else [*prompt, *turns]
    return prompt


def _turns(column: str, value: Any) -> Turns:
    try:
        return turns_of(value)
    except UnreadableTurns:
        raise Refused(
            SeedRefusal.NOT_TEXT,
            f"`{column}` holds text that begins like a list of turns and is none; write the column as JSON",
        ) from None


def _refuse_unreadable(cells: Mapping[str, Any]) -> None:
    """Raises `Refused` where a row has nothing but a column of a conversation, and no conversation in it."""
    if not all(is_blank(cells.get(column)) for column in INSTRUCTIONS):
        return
    column = next((column for column in CONVERSATION_COLUMNS if not holds_nothing(cells.get(column))), None)
    if column is not None:
        kind = type(cells[column]).__name__
        raise Refused(
            SeedRefusal.NOT_TEXT, f"`{column}` holds a {kind} and not a list of turns, each with `role` and `content`"
        )


def _calls_tools(turn: Mapping[str, Any]) -> bool:
    return role_of(turn) in _TOOLS or any(not holds_nothing(turn.get(key)) for key in _CALLS)


def _text_in(column: str, turn: Mapping[str, Any]) -> str:
    content = parts_text(column, content_of(turn))
    return "" if is_blank(content) else cell_text(column, content)
