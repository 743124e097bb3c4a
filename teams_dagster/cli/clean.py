"""`teams clean`: room on the disk, without anything that lineage or a seal needs."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from teams_dagster.cli.project import close_dead_runs, open_settings, open_store, prepare_home, say

if TYPE_CHECKING:
    import dagster as dg

    from teams_dagster.store.cleaning import Removal


@click.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Only what was made, or last written, before so many days.",
)
@click.option("--yes", is_flag=True, help="Remove it. Without this, it is only said what would go.")
def clean(days: int, yes: bool) -> None:
    """Remove what nobody reads any more: weights of superseded models, what interrupted runs left, logs of old runs.

    Nothing that a current output is made from goes, and of outputs only weights do: tables, manifests and cards stay.
    """
    import dagster as dg

    from teams_dagster.store.cleaning import removals, remove

    settings = open_settings()
    if not settings.data_dir.is_dir():
        raise click.ClickException(f"TEAMS_DATA_DIR: there is nothing in {settings.data_dir} yet")
    prepare_home(settings)
    before = datetime.now(UTC) - timedelta(days=days)
    store = open_store(settings)
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        _refuse_while_running(instance)
        found, logs = removals(store, before), _logs(instance, before)
        for removal in (*found, *logs):
            say(f"{_megabytes(removal.size):>12}  {_shown(removal.folder, settings.data_dir)}: {removal.why}")
        if not yes:
            say(f"{_counted((*found, *logs))} could go; nothing was removed: teams clean --yes removes it")
            return

        def refuse() -> None:
            _refuse_while_running(instance)  # one that was launched meanwhile may be about to read what would go

        refuse()
        outcomes = [*remove(store, found, before, refuse), *((log, _remove_logs(log, before)) for log in logs)]
    say(f"{_counted([removal for removal, why in outcomes if why is None])} removed")
    if left := [f"{_shown(removal.folder, settings.data_dir)}: {why}" for removal, why in outcomes if why is not None]:
        raise click.ClickException(
            f"{len(left)} of {len(outcomes)} could not be removed, for example {left[0]}: run teams clean again once"
            " nothing is written there"
        )


def _refuse_while_running(instance: "dg.DagsterInstance") -> None:
    import dagster as dg

    from teams_dagster.automation.runs import UNDER_WAY

    if busy := instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=1):
        raise click.ClickException(
            f"run {busy[0].run_id} of {busy[0].job_name} is under way: wait until it has ended, or cancel it"
        )


def _logs(instance: "dg.DagsterInstance", before: datetime) -> "list[Removal]":
    """What the steps of runs that ended before a moment printed, where Dagster keeps it in its own folder.

    A run can have been given up whose process lives on: what it still writes stays.
    """
    import dagster as dg

    from teams_dagster.store.cleaning import Removal

    ended = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        updated_before=before,
    )
    found: list[Removal] = []
    for record in instance.get_run_records(ended):
        folder = Path(instance.storage_directory()) / record.dagster_run.run_id / "compute_logs"
        if folder.is_dir() and _written(folder) < before:
            size = sum(path.stat().st_size for path in folder.rglob("*"))
            found.append(Removal(folder, (), size, f"logs of a run of {record.dagster_run.job_name}"))
    return found


def _remove_logs(removal: "Removal", before: datetime) -> str | None:
    """Remove logs. Returns why they were left, if they were."""
    if _written(removal.folder) >= before:
        return "its run still writes there"
    shutil.rmtree(removal.folder)
    return None


def _written(folder: Path) -> datetime:
    """When a folder, or anything below it, was last written."""
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))), UTC)


def _shown(folder: Path, data_dir: Path) -> str:
    return str(folder.relative_to(data_dir)) if folder.is_relative_to(data_dir) else str(folder)


def _counted(found: "Sequence[Removal]") -> str:
    """`2.0 MB in 1 place`."""
    places = f"{len(found)} place" if len(found) == 1 else f"{len(found)} places"
    return f"{_megabytes(sum(removal.size for removal in found))} in {places}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
