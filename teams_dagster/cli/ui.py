"""`teams ui`: the Dagster UI over the project's data."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from teams_dagster.cli.project import open_settings, prepare_home
from teams_dagster.student.isolation import ParentGone, die_with

PATIENCE_S = 30.0
"""How long Dagster's services may take to end by themselves."""

_ASKED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""How a process is asked to end."""


@click.command()
@click.option("--port", default=3000, show_default=True)
def ui(port: int) -> None:
    """Serve the Dagster UI on 127.0.0.1 over the same data."""
    settings = open_settings()
    prepare_home(settings)
    os.chdir(settings.root)
    click.echo(f"The UI comes up on http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    dagster = Path(sys.executable).with_name("dagster")
    sys.exit(run_until_asked([str(dagster), "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]))


def run_until_asked(command: Sequence[str]) -> int:
    """Run `command` until it ends or this process is asked to end; what it started ends with it. Its exit code.

    A process between the two sees to that, also where this one is killed and can see to nothing (on Linux).
    """
    keeper = os.fork()
    if keeper == 0:
        code = 1
        try:
            code = _keep(command)
        finally:
            os._exit(code)
    for number in _ASKED_BY:
        signal.signal(number, lambda number, _frame: os.kill(keeper, number))
    return os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])


def _keep(command: Sequence[str]) -> int:
    """Run `command` in a session of its own until it ends, or this process is asked to end, or its parent is gone.

    `dagster dev` ends its services on an interrupt alone: another signal would leave them running.
    """
    for number in _ASKED_BY:
        signal.signal(number, _interrupt)  # before: what a shell's `&` has ignored would be ignored by the command too
    parent = os.getppid()
    os.setsid()  # a terminal's interrupt comes once, from the parent
    try:
        die_with(parent, signal.SIGTERM)
        process = subprocess.Popen(command, start_new_session=True)
    except (KeyboardInterrupt, ParentGone):
        return 1
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(PATIENCE_S)
        return 1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
