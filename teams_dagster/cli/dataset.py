"""`teams dataset`: one generation and the dataset with it, without training a policy."""

import sys
from pathlib import Path

import click

from teams_dagster.cli.estimate import estimate_lines_of
from teams_dagster.cli.project import (
    config_of,
    generation_of,
    naming_config,
    naming_folder,
    open_settings,
    open_store,
    prepare_home,
    project_ledger,
    read_run_config,
    say,
)
from teams_dagster.cli.runs import run_job
from teams_dagster.ledger.costs import costs_by
from teams_dagster.report.terminal import cost_lines
from teams_dagster.settings import Settings

ASSETS = ("seed_instructions", "generated_instructions", "expert_responses", "pair_scores")
"""What the estimate is of."""


@click.command()
@click.option(
    "--samples",
    type=click.IntRange(min=3),
    help="Exactly so many of this generation, after curation; default: what one episode from each seed brings.",
)
@click.option(
    "--policy", help="Who chooses the operations: trained, uniform, a version, ... Default: as teams preview."
)
@click.option("--partition", help="The generation (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON) of the job dataset.",
)
def dataset(samples: int | None, policy: str | None, partition: str | None, config: Path | None) -> None:
    """Make the dataset of one generation: seeds, rewrites, answers, curation. Run again, it goes on.

    The estimate is told first. It ends with the rows of each split, the bill, and what is missing of --samples.
    """
    settings = open_settings()
    week, run_config = generation_of(partition), read_run_config(config, latest=False)
    generated = config_of(run_config, "generated_instructions")
    if samples is not None:
        generated["target_samples"] = samples
    if policy is not None:
        generated["policy"] = policy
    generated["policy"] = _steering(settings, week, generated.get("policy", "manifest"))
    prepare_home(settings)
    with naming_config(config):
        say("\n".join(estimate_lines_of(settings, week, run_config, ASSETS)))
    result = run_job(settings, "dataset", run_config, partition=week)
    if not result.success:
        say("\nWhat was paid is kept, and the same command goes on from here.", err=True)
        sys.exit(1)
    say("\n".join(_outcome(settings, week)))


def _steering(settings: Settings, week: str, policy: str) -> str:
    """Who chooses the operations: `policy`, or uniform where nobody was named, none was trained and none has begun.

    Raises ClickException where the policy of now is wanted and there is none.
    """
    from teams_dagster.dataset.manifests import MANIFEST
    from teams_dagster.dataset.steering import TRAINED, trained_policy_named
    from teams_dagster.store.artefact_store import ArtefactMissing
    from teams_dagster.store.damage import ArtefactDamaged

    store = open_store(settings)
    begun = (store.place("generated_instructions", week) / MANIFEST).exists()
    if policy == "manifest" and not begun and not store.exists("trained_policy"):
        return "uniform"
    if policy in ("latest", TRAINED):
        try:
            trained_policy_named(store, TRAINED)
        except (ArtefactMissing, ArtefactDamaged) as missing:
            raise click.ClickException(str(missing)) from None
    return policy


def _outcome(settings: Settings, week: str) -> list[str]:
    """The rows, what is missing of them, and the bill."""
    from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts

    store = open_store(settings)
    found = store.current("instruction_dataset").read_facts(DatasetFacts)
    generated = store.current("generated_instructions", week).read_facts(GenerationFacts)
    rows = ", ".join(f"{count:,} {split}" for split, count in found.examples.items())
    lines = [f"{sum(found.examples.values()):,} samples: {rows}"]
    if generated.target_missed is not None:
        lines.append(generated.target_missed)
    lines += found.short_of_target
    with naming_folder("TEAMS_DATA_DIR", settings.data_dir), project_ledger(settings) as ledger:
        bill = cost_lines(costs_by(ledger, ["role"])) if ledger else []
    return [*lines, "", *bill, "", "Take it: teams export --to FOLDER"]
