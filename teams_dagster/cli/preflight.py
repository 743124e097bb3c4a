"""`teams preflight`: every role, and the student, is tried before money."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from teams_dagster.cli.project import (
    close_dead_runs,
    config_of,
    open_settings,
    open_store,
    prepare_home,
    process_tags,
    read_run_config,
    say,
)


@click.command()
@click.option("--quick", is_flag=True, help="A hundred queries instead of up to 600: wider intervals.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), as for the run itself: ratings are tried where it has any.",
)
def preflight(quick: bool, config: Path | None) -> None:
    """Try every configured role before money: reachable, readable, better than chance. The cost is told first.

    With a --config in which the judge scores pairs, its ratings are tried too: 120 queries more, with --quick 32.
    A configured student is looked at, too: its files, tokenizer, chat template and end token. Prints a line a role.
    Exit code 0: all passed. 1: one failed, and the line says why.
    """
    settings = open_settings()
    ratings = _has_ratings(read_run_config(config, latest=False))
    trainable = _look_at_student(settings.student) if settings.student else True
    if all(settings.role(role).provider == "offline" for role in settings.configured):
        say("every role is served by the embedded rules: nothing to try")
        sys.exit(0 if trainable else 1)
    import dagster as dg

    from assets.preflight import records_of
    from resources.language_models.roles import LanguageModels
    from resources.ledger import LedgerConnection
    from teams_dagster.automation.runs import step_failures
    from teams_dagster.definitions import definitions
    from teams_dagster.preflight.findings import preflight_lines

    prepare_home(settings)
    code_location = definitions(settings)
    with dg.DagsterInstance.get() as instance, redirect_stdout(sys.stderr):
        close_dead_runs(instance)
        result = code_location.resolve_job_def("preflight").execute_in_process(
            instance=instance,
            run_config={
                "ops": {"try_roles": {"config": {"quick": quick, "ratings": ratings}}},
                "loggers": {"console": {"config": {}}},
            },
            tags=process_tags(),
            raise_on_error=False,
        )
    root, store = str(settings.root), open_store(settings)
    models = LanguageModels(root=root, ledger=LedgerConnection(root=root, store=store))
    say("\n".join(preflight_lines(records_of(models, quick=quick))))
    for failure in step_failures(result.get_step_failure_events()):
        say(f"\n{failure.reason}", err=True)
    sys.exit(0 if result.success and trainable else 1)


def _has_ratings(run_config: dict[str, Any]) -> bool:
    """Whether the judge rates pairs in a run of this configuration."""
    from teams_dagster.dataset.pair_settings import JUDGE

    return config_of(run_config, "pair_scores").get("scored_by") == JUDGE


def _look_at_student(student: str) -> bool:
    """Say whether it can be trained, and why not."""
    from teams_dagster.student.admission import examine_student
    from teams_dagster.student.weights import StudentFault

    try:
        found = examine_student(student)
    except StudentFault as fault:
        say(f"student: FAILED: {fault}")
        return False
    notes = "".join(f"; {note}" for note in found.notes)
    say(f"student: passed: {found.vocabulary:,} tokens, answers end with {found.end_token}{notes}")
    return True
