"""`teams ui`: the Dagster UI over the project's data."""

import os
import sys
from pathlib import Path

import click

from teams_dagster.cli.project import open_settings, prepare_home


@click.command()
@click.option("--port", default=3000, show_default=True)
def ui(port: int) -> None:
    """Serve the Dagster UI on 127.0.0.1 over the same data."""
    settings = open_settings()
    prepare_home(settings)
    os.chdir(settings.root)
    click.echo(f"The UI comes up on http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, [str(dagster), "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)])
