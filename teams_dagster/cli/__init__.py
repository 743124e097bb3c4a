"""Door: the `teams` command. A command is a module of this folder, imported when it is called."""

import errno
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from teams_dagster.core.text import visible

COMMANDS = (
    "init",
    "demo",
    "ui",
    "preflight",
    "preview",
    "dataset",
    "estimate",
    "costs",
    "lineage",
    "export",
    "policy",
    "checks",
    "backup",
    "restore",
    "clean",
)


_REMEDY = "set TEAMS_DATA_DIR to a folder that can be read and written"
_REMEDIES = {
    errno.ENOSPC: "make room on that disk, or move the data folder to another and set TEAMS_DATA_DIR to it",
    errno.EDQUOT: "make room within your quota, or move the data folder elsewhere and set TEAMS_DATA_DIR to it",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""What helps where the system refuses something that no command expected."""


def _of_the_system(error: Exception) -> str | None:
    """What to say where the system refuses a file, or Dagster's database is not to be opened; None for other errors."""
    if isinstance(error, OSError):
        if isinstance(error, BrokenPipeError) or error.strerror is None or error.errno is None:
            return None
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}: {_REMEDIES.get(error.errno, _REMEDY)}"
    errors: Any = sys.modules.get("sqlalchemy.exc")  # a command that has not imported it opened no database
    if errors is None or not isinstance(error, errors.OperationalError):
        return None
    reason = str(getattr(error, "orig", error)).splitlines()[0]
    return (
        f"the database of Dagster's history cannot be used ({reason}): set DAGSTER_HOME, by default `dagster` in the"
        " data folder, to a folder that can be written, on a disk with room"
    )


class _Commands(click.Group):
    """Commands by the names of their modules: what one of them needs never slows another down."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name) if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What an error's message quotes of data does not control the terminal.

        A character that the terminal's encoding does not have is shown by its number.
        """
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(visible(error.format_message()), error.ctx) from None
        except click.ClickException as error:
            raise type(error)(visible(error.format_message())) from None
        except Exception as error:
            if (said := _of_the_system(error)) is None:
                raise
            raise click.ClickException(visible(said)) from None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """teams-dagster: a learned policy writes your instruction dataset, and every query is on the ledger."""
