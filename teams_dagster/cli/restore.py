"""`teams restore`: a project from its backup."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teams_dagster.cli.backup import refuse_differing
from teams_dagster.cli.project import open_settings, open_store, prepare_home, project_ledger, say
from teams_dagster.ledger.database import LedgerError
from teams_dagster.report.terminal import budget_lines
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    from teams_dagster.store.integrity import RecordedHead


@click.command()
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path))
def restore(source: Path) -> None:
    """Put back what is missing of a project from the folder BACKUP that `teams backup` made.

    The ledger goes to TEAMS_LEDGER_URL, and its chain and its budget go on from there. A ledger that goes on from the
    backup stays, and any other is refused. Outputs that are whole and Dagster's history stay as they are; one that is
    not what was sealed is replaced, and kept beside. Nothing is put back from a backup that was changed.
    """
    from teams_dagster.store import backup
    from teams_dagster.store.damage import ArtefactDamaged

    settings = open_settings()
    try:
        heads = _recorded(settings)
        refuse_differing(backup.verify_backup(source), "the backup is not what was sealed, and nothing was restored")
        missing, lacking = backup.heads_after(source, heads), backup.outputs_lacking(source)
        put_back = backup.restore(source, settings.ledger_url, settings.data_dir, settings.dagster_home)
        _publish(settings)
        with project_ledger(settings) as ledger:
            spent = ledger.spent() if ledger else None
    except (backup.BackupRefused, ArtefactDamaged, LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from None
    about = backup.read_about(source)
    held = about.artefacts - len(lacking)
    if put_back:
        say(f"restored {about.rows['uses']:,} queries and {held:,} outputs as of {about.made_at}")
    else:
        say(f"the ledger goes on from the backup, and stays; of the backup's {held:,} outputs, what lacked is put back")
    if lacking:
        say(
            f"the backup lacks {len(lacking):,} outputs that it was made with, {lacking[0]} for one: where they are"
            " gone here too, materialise them again, which asks nothing that is answered"
        )
    if missing and put_back:
        say(f"the backup is older than the last {missing:,} records of the chain: what was asked since is not in it")
    if spent is not None:
        say("\n".join(budget_lines(spent, settings.budget)))


def _recorded(settings: Settings) -> "list[RecordedHead]":
    """The heads that Dagster's history here holds, the latest first; none where there is no history."""
    if not settings.dagster_home.is_dir() or not any(settings.dagster_home.rglob("*.db")):
        return []
    import dagster as dg

    from resources.ledger import recorded_heads

    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        return list(recorded_heads(instance))


def _publish(settings: Settings) -> None:
    """Make `teams.duckdb` of what was restored, and record the chain's head."""
    import dagster as dg

    from resources.ledger import LedgerConnection

    prepare_home(settings)
    store = open_store(settings)
    with dg.DagsterInstance.get() as instance:
        LedgerConnection(root=str(settings.root), store=store).refresh(instance)
