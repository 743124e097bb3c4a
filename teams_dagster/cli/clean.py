"""`teams clean`: room on the disk, without anything that lineage or a seal needs."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from teams_dagster.cli.project import close_dead_runs, open_settings, prepare_home, say

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

    from teams_dagster.store.artefact_store import ArtefactStore
    from teams_dagster.store.cleaning import removals, remove

    settings = open_settings()
    if not settings.data_dir.is_dir():
        raise click.ClickException(f"TEAMS_DATA_DIR: there is nothing in {settings.data_dir} yet")
    prepare_home(settings)
    before = datetime.now(UTC) - timedelta(days=days)
    store = ArtefactStore(data_dir=str(settings.data_dir))
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        _refuse_while_running(instance)
        found, logs = removals(store, before), _logs(instance, before)
        for removal in (*found, *logs):
            say(f"{_megabytes(removal.size):>12}  {_shown(removal.folder, settings.data_dir)}: {removal.why}")
        places, total = len(found) + len(logs), _megabytes(sum(removal.size for removal in (*found, *logs)))
        if not yes:
            say(f"{total} in {places} places could go; nothing was removed: teams clean --yes removes it")
            return
        kept: list[str] = []
        refuse = partial(_refuse_while_running, instance)  # a run launched meanwhile may be about to read it
        for removal, why in chain(remove(store, found, before, ahead=refuse), _remove_logs(logs, before, refuse)):
            if why:
                kept.append(f"{_shown(removal.folder, settings.data_dir)}: {why}")
    if kept:
        raise click.ClickException(
            f"{len(kept)} of {places} places were left, for example {kept[0]}: run teams clean again once no run is"
            " under way"
        )
    say(f"{total} in {places} places were removed")


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
    found = []
    for record in instance.get_run_records(ended):
        folder = Path(instance.storage_directory()) / record.dagster_run.run_id / "compute_logs"
        if folder.is_dir() and _written(folder) < before:
            size = sum(path.stat().st_size for path in folder.rglob("*"))
            found.append(Removal(folder, (), size, f"logs of a run of {record.dagster_run.job_name}"))
    return found


def _remove_logs(
    logs: "Sequence[Removal]", before: datetime, ahead: Callable[[], None]
) -> "Iterator[tuple[Removal, str | None]]":
    """Remove logs; `ahead` is called before each. Returns each with why it was left, if it was."""
    for removal in logs:
        ahead()
        if _written(removal.folder) >= before:
            yield removal, "its run still writes there"
        else:
            shutil.rmtree(removal.folder)
            yield removal, None


def _written(folder: Path) -> datetime:
    """When a folder, or anything below it, was last written."""
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))), UTC)


def _shown(folder: Path, data_dir: Path) -> str:
    return str(folder.relative_to(data_dir)) if folder.is_relative_to(data_dir) else str(folder)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
