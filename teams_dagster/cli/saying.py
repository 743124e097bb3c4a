"""What commands print: nothing in it controls the terminal, whatever data, files or providers put into it."""

import click

from teams_dagster.core.text import visible


def say(text: str, *, err: bool = False) -> None:
    """Print `text` with every control and invisible character named; on standard error with `err`."""
    click.echo(visible(text), err=err)
