"""`teams backup`: the whole project in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teams_dagster.cli.project import open_settings, prepare_home, say
from teams_dagster.ledger.database import LedgerError

if TYPE_CHECKING:
    from teams_dagster.store.integrity import Verification


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
def backup(target: Path) -> None:
    """Copy the ledger, every output and Dagster's history into the folder TARGET, while runs go on.

    What was copied is then compared with its hashes and with the chain that seals it.
    """
    import dagster as dg

    from resources.ledger import recorded_heads
    from teams_dagster.store.backup import BackupRefused, back_up, verify_backup

    settings = open_settings()
    if not settings.data_dir.is_dir():
        raise click.ClickException(f"TEAMS_DATA_DIR: there is nothing in {settings.data_dir} yet")
    prepare_home(settings)
    try:
        with dg.DagsterInstance.get() as instance:
            heads = list(recorded_heads(instance))
        about = back_up(settings.ledger_url, settings.data_dir, settings.dagster_home, target)
        found = verify_backup(target, heads)
    except (BackupRefused, LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from None
    say(
        f"{target}: {about.rows['uses']:,} queries, {about.artefacts:,} outputs, head {about.head or 'none yet'};"
        f" {found.verified:,} rows and files agree with their hashes"
    )
    refuse_differing(found, "the backup was made, and what it holds is not what was sealed")


def refuse_differing(found: "Verification", said: str) -> None:
    """Raises ClickException with the first differences, where there are any."""
    if found.differing:
        shown = "\n  ".join(str(difference) for difference in found.differences[:5])
        raise click.ClickException(f"{said}: {found.differing:,} differences\n  {shown}")
