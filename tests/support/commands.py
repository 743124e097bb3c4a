"""The commands that a text tells people to type."""

from __future__ import annotations

import re
from pathlib import Path

import click

from teams_dagster.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent.parent

_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def code_in(markdown: str) -> str:
    """Everything in Markdown that is set as code, a line each."""
    fences = re.findall(r"^ *```\w*\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", markdown, flags=re.MULTILINE | re.DOTALL))
    return "\n".join((*fences, *spans))


def shell_blocks(markdown: str) -> list[str]:
    """The fenced blocks that say they are shell."""
    return re.findall(r"^```sh\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)


def unknown_commands(text: str) -> list[str]:
    """Each `make X` and `teams X --option` in `text` that does not exist."""
    wrong = [f"make {target}" for target in re.findall(r"\bmake ([a-z-]+)", text) if target not in _TARGETS]
    for name, arguments in re.findall(r"(?<!\S)(?:\.venv/bin/)?teams ([a-z]+)([^\n#|;&]*)", text):
        command = main.get_command(click.Context(main), name) if name in COMMANDS else None
        known = {option for parameter in command.params for option in parameter.opts} if command else set()
        wrong += [] if command else [f"teams {name}"]
        wrong += [f"teams {name} {option}" for option in re.findall(r"--[a-z-]+", arguments) if option not in known]
    return wrong
