"""`teams preflight`: every role is tried before money."""

import sys
from contextlib import redirect_stdout

import click

from teams_dagster.cli.project import close_dead_runs, open_settings, prepare_home, process_tags, say
from teams_dagster.core.protocol import Role


@click.command()
@click.option("--quick", is_flag=True, help="A hundred queries instead of up to 600: wider intervals.")
def preflight(quick: bool) -> None:
    """Try every configured role before money: reachable, readable, better than chance. The cost is told first.

    Prints a line a role. Exit code 0: all passed. 1: one failed, and the line says why.
    """
    settings = open_settings()
    roles = [role for role in Role if role in settings.roles and settings.roles[role].provider != "offline"]
    if not roles:
        say("every role is served by the embedded rules: nothing to try")
        return
    import dagster as dg

    from assets.preflight import records_of
    from resources.language_models.roles import LanguageModels
    from resources.ledger import LedgerConnection
    from teams_dagster.definitions import definitions
    from teams_dagster.preflight.lines import preflight_lines
    from teams_dagster.store.artefact_store import ArtefactStore

    prepare_home(settings)
    code_location = definitions(settings)
    with dg.DagsterInstance.get() as instance, redirect_stdout(sys.stderr):
        close_dead_runs(instance)
        result = code_location.resolve_job_def("preflight").execute_in_process(
            instance=instance,
            run_config={"ops": {"try_roles": {"config": {"quick": quick}}}, "loggers": {"console": {"config": {}}}},
            tags=process_tags(),
            raise_on_error=False,
        )
    root, store = str(settings.root), ArtefactStore(data_dir=str(settings.data_dir))
    models = LanguageModels(root=root, ledger=LedgerConnection(root=root, store=store))
    say("\n".join(preflight_lines(records_of(models, quick=quick))))
    sys.exit(0 if result.success else 1)
