"""Page: the `teams` command and the Makefile's targets, as both describe themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from docs.generate.markdown import code, table
from teams_dagster.cli import COMMANDS, main

INTRODUCTION = """# Commands

## make

{targets}
`make setup` puts what runs into `.venv`. The commands below are `.venv/bin/teams ...`, or `teams ...` once
`. .venv/bin/activate` was typed.
"""

MAKEFILE = Path(__file__).parent.parent.parent / "Makefile"


def page() -> str:
    """The whole page."""
    targets = re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = table(("Target", "What it does"), [(code(f"make {name}"), told) for name, told in targets])
    return "\n".join([INTRODUCTION.format(targets=listed), *_commands()])


def _commands() -> Iterator[str]:
    group = click.Context(main, info_name="teams")
    for name in COMMANDS:
        command = main.get_command(group, name)
        assert command is not None, f"{name} is listed and is no command"
        context = click.Context(command, parent=group, info_name=name)
        yield f"## teams {name}\n"
        yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
        yield f"{command.help}\n"
        if options := [option for option in command.params if isinstance(option, click.Option)]:
            yield table(("Option", "What it does"), [_option(option, context) for option in options])


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    record = option.get_help_record(context)
    assert record is not None, f"{option.name} is hidden"
    return code(record[0]), record[1]
