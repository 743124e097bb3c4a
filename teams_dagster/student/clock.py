"""The time that a chat template is told: always the same, so that a prompt is the same tokens tomorrow."""

from __future__ import annotations

from datetime import UTC, datetime

CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""What the time is to every chat template."""
ASKS = "strftime_now"
"""The function that a chat template asks the time with."""

_DIRECTIVES = [*(f"%{letter}" for letter in "aAbBcdeDfFGHIjmMpSTuUVwWxXyYzZ"), "%-d", "%-m", "%-H", "%-I", "%-M", "%-j"]
_FROZEN = (
    f"{{%- macro {ASKS}(format) -%}}{{{{- format"
    + "".join(f" | replace('{directive}', '{CLOCK.strftime(directive)}')" for directive in _DIRECTIVES)
    + "-}}{%- endmacro -%}"
)


def asks_the_time(chat_template: str) -> bool:
    """Whether a chat template's prompts would depend on when they are written."""
    return ASKS in chat_template


def with_frozen_clock(chat_template: str) -> str:
    """The same template, with a clock of its own that stands at CLOCK; as it is where it asks for no time.

    The clock is written in the template's language: whoever gets the template with a model has it too.
    """
    if not asks_the_time(chat_template) or chat_template.startswith(_FROZEN):
        return chat_template
    return _FROZEN + chat_template
