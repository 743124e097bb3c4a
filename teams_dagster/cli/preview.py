"""`teams preview`: a few samples to look at before anything is bought."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from teams_dagster.cli.project import (
    close_dead_runs,
    generation_of,
    open_settings,
    prepare_home,
    process_tags,
    read_run_config,
    say,
    wrong_config,
)
from teams_dagster.settings import Settings

_SHARED = ("seeds", "root_seed", "policy", "foreign_policy")
"""What of a generation's configuration decides what is played."""


@click.command()
@click.option("--seeds", type=click.IntRange(1, 100), default=5, show_default=True, help="Seeds to look at.")
@click.option("--partition", help="The generation (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option("--policy", help="Who chooses the operations, as for the run itself: trained, uniform, a version, ...")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), as for the run itself.",
)
def preview(seeds: int, partition: str | None, policy: str | None, config: Path | None) -> None:
    """Play a few seeds and show each step: what it changed, the verdict, the answer, the price.

    At most 15 queries for each seed. The generation that is made later reuses them.
    """
    settings = open_settings()
    generated = read_run_config(config, latest=False).get("ops", {}).get("generated_instructions", {}).get("config", {})
    shared = {name: generated[name] for name in _SHARED if name in generated}
    chosen = {"policy": policy} if policy else {}
    wanted = {"looked_at": seeds, "partition": generation_of(partition), **shared, **chosen}
    prepare_home(settings)
    sys.exit(_play(settings, wanted))


def _play(settings: Settings, config: dict[str, Any]) -> int:
    """Run the job `preview` here and print what it found; the exit code."""
    import dagster as dg

    from teams_dagster.definitions import definitions

    code_location = definitions(settings)
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        try:
            with redirect_stdout(sys.stderr):
                result = code_location.resolve_job_def("preview").execute_in_process(
                    instance=instance,
                    run_config={"ops": {"play_preview": {"config": config}}, "loggers": {"console": {"config": {}}}},
                    tags=process_tags(),
                    raise_on_error=False,
                )
        except dg.DagsterInvalidConfigError as error:
            raise click.ClickException(wrong_config(error)) from None
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        cause = error.cause if error and error.cause else error
        say(f"\n{cause.message.strip() if cause else 'no reason was recorded'}", err=True)
    if result.success:
        say(result.output_for_node("play_preview"))
    return 0 if result.success else 1
