"""`teams init`: who is asked, and the most that it may cost, into `.env`."""

import os
import tempfile
from pathlib import Path

import click
from dotenv import set_key

from teams_dagster.core.files import replacing
from teams_dagster.role_settings import OPENAI_URL, is_loopback
from teams_dagster.settings import SettingsError, find_root, load_settings

ENV = ".env"


@click.command()
@click.option("--base-url", help="The endpoint; asked for where it is not given.")
@click.option("--model", help="The model there; asked for where it is not given.")
@click.option("--budget-usd", help="The most that this project may ever spend, in dollars; asked for likewise.")
def init(base_url: str | None, model: str | None, budget_usd: str | None) -> None:
    """Write `.env`: one endpoint for every role, its key, and a budget.

    The key is asked for, shown nowhere, and written to `.env` alone, which only you can read. A `.env` that is there is
    not changed.
    """
    target = find_root() / ENV
    if target.exists():
        raise click.ClickException(f"{target} is there already: change it in an editor (.env.example explains it)")
    base_url = base_url or click.prompt("Endpoint", default=OPENAI_URL)
    model = model or click.prompt("Model")
    values = {"TEAMS_MODEL": model, "TEAMS_BASE_URL": base_url}
    key = click.prompt(
        "Key (not shown; empty for a server that wants none)", default="", hide_input=True, show_default=False
    )
    if key:
        values["TEAMS_API_KEY"] = key
    if not is_loopback(base_url):
        values["TEAMS_BUDGET_USD"] = budget_usd or click.prompt(
            "Dollars that this project may ever spend", default="20"
        )
    _check(values)
    with replacing(target) as draft:
        _write(draft, values)
    click.echo(f"{target} is written. Next: teams preflight")


def _check(values: dict[str, str]) -> None:
    """Raises ClickException for what could not be used."""
    with tempfile.TemporaryDirectory() as place:
        _write(Path(place) / ENV, values)
        try:
            load_settings(Path(place))
        except SettingsError as error:
            raise click.ClickException(str(error)) from None


def _write(path: Path, values: dict[str, str]) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    for name, value in values.items():
        set_key(path, name, value)
