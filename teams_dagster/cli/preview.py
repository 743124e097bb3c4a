"""`teams preview`: a few samples to look at before anything is bought."""

import sys
from pathlib import Path

import click

from teams_dagster.cli.project import (
    config_of,
    generation_of,
    naming_config,
    open_settings,
    prepare_home,
    read_run_config,
    say,
    valid_config,
)
from teams_dagster.cli.runs import run_job

_SHARED = ("seeds", "root_seed", "policy", "foreign_policy", "forced_schedule")
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

    At most 15 queries for each seed, 21 where the policy was trained with both_orders: how many is said first. The
    generation that is made later reuses them.
    """
    settings = open_settings()
    run_config = read_run_config(config, latest=False)
    generated = config_of(run_config, "generated_instructions")
    with naming_config(config):
        valid_config(run_config)
    shared = {name: generated[name] for name in _SHARED if name in generated}
    chosen = {"policy": policy} if policy else {}
    wanted = {"looked_at": seeds, "partition": generation_of(partition), **shared, **chosen}
    prepare_home(settings)
    result = run_job(settings, "preview", {**run_config, "ops": {"play_preview": {"config": wanted}}})
    if result.success:
        say(result.output_for_node("play_preview"))
    sys.exit(0 if result.success else 1)
