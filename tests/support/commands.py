"""What Markdown tells people to type, and whether that exists."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import click

from teams_dagster.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent.parent

_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


_FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^ *```$', re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    title: str
    """The file that it is; empty where it is none."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_in(markdown: str, page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(
            page=page,
            line=markdown.count("\n", 0, found.start()) + 1,
            language=found["language"],
            title=found["title"] or "",
            text=textwrap.dedent(found["text"]),
        )
        for found in _FENCE.finditer(markdown)
    ]


def code_in(markdown: str) -> str:
    """Everything in Markdown that is set as code, a line each."""
    spans = re.findall(r"`([^`\n]+)`", _FENCE.sub("", markdown))
    return "\n".join([*(block.text for block in blocks_in(markdown, "")), *spans])


def unknown_commands(text: str) -> list[str]:
    """Each `make X` and `teams X --option` in `text` that does not exist."""
    wrong = [f"make {target}" for target in re.findall(r"\bmake ([a-z-]+)", text) if target not in _TARGETS]
    for name, arguments in re.findall(r"(?<!\S)(?:\.venv/bin/)?teams ([a-z]+)([^\n#|;&]*)", text):
        command = main.get_command(click.Context(main), name) if name in COMMANDS else None
        known = {option for parameter in command.params for option in parameter.opts} if command else set()
        wrong += [] if command else [f"teams {name}"]
        wrong += [f"teams {name} {option}" for option in re.findall(r"--[a-z-]+", arguments) if option not in known]
    return wrong
