"""`teams policy`: a trained policy as one folder, for another project."""

from pathlib import Path

import click

from teams_dagster.cli.project import naming_folder, open_settings, open_store, say, say_what_is_lost


@click.command()
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--version", default="trained", help="Version of an earlier policy. Default: the current one.")
def policy(target: Path, version: str) -> None:
    """Export a trained policy with its reviewer, rewriter, features, learning curve and scores.

    A generation is steered by it with `generated_instructions: {policy: <folder>}` in its run configuration.
    """
    from teams_dagster.dataset.steering import trained_policy_named
    from teams_dagster.policy.exchange import export_policy
    from teams_dagster.store.artefact_store import ArtefactMissing
    from teams_dagster.store.damage import ArtefactDamaged

    settings = open_settings()
    with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
        say_what_is_lost(settings)
        store = open_store(settings)
    try:
        found = trained_policy_named(store, version)
        if found is None:
            raise click.ClickException(f"--version {version} needs no training: there is nothing to export")
        names = export_policy(store, found, target)
    except (ArtefactMissing, ArtefactDamaged, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    say(f"policy {found.data_version} in {target}:")
    say("\n".join(f"  {name}" for name in names))
