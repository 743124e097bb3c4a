"""`teams dataset`: one generation and the dataset with it, without training a policy."""

import sys
from pathlib import Path

import click

from teams_dagster.cli.estimate import estimate_lines_of
from teams_dagster.cli.project import (
    generation_of,
    naming_folder,
    open_settings,
    prepare_home,
    project_ledger,
    read_run_config,
    say,
)
from teams_dagster.cli.runs import run_job
from teams_dagster.ledger.costs import costs_by
from teams_dagster.report.terminal import cost_lines
from teams_dagster.settings import Settings

ASSETS = ("generated_instructions", "expert_responses")


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
    ops = run_config.setdefault("ops", {})
    generated = ops.setdefault("generated_instructions", {}).setdefault("config", {})
    if samples is not None:
        generated["target_samples"] = samples
    generated.setdefault("policy", "manifest")
    if policy is not None:
        generated["policy"] = policy
    elif generated["policy"] == "manifest" and not _has_policy(settings, week):
        generated["policy"] = "uniform"
    prepare_home(settings)
    say("\n".join(estimate_lines_of(settings, week, run_config, ASSETS)))
    result = run_job(settings, "dataset", ops, partition=week)
    if not result.success:
        say("\nWhat was paid is kept, and the same command goes on from here.", err=True)
        sys.exit(1)
    say("\n".join(_outcome(settings, week)))


def _has_policy(settings: Settings, week: str) -> bool:
    """Whether somebody is to choose the operations already: the generation was begun, or a policy was trained."""
    from teams_dagster.dataset.manifests import MANIFEST
    from teams_dagster.store.artefact_store import ArtefactStore

    store = ArtefactStore(data_dir=str(settings.data_dir))
    return store.exists("trained_policy") or (store.place("generated_instructions", week) / MANIFEST).exists()


def _outcome(settings: Settings, week: str) -> list[str]:
    """The rows, what is missing of them, and the bill."""
    from teams_dagster.store.artefact_store import ArtefactStore
    from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts

    store = ArtefactStore(data_dir=str(settings.data_dir))
    found = store.current("instruction_dataset").read_facts(DatasetFacts)
    generated = store.current("generated_instructions", week).read_facts(GenerationFacts)
    rows = ", ".join(f"{count:,} {split}" for split, count in found.examples.items())
    lines = [f"{sum(found.examples.values()):,} samples: {rows}"]
    if generated.target_missed is not None:
        lines.append(generated.target_missed)
    with naming_folder("TEAMS_DATA_DIR", settings.data_dir), project_ledger(settings) as ledger:
        bill = cost_lines(costs_by(ledger, ["role"])) if ledger else []
    return [*lines, "", *bill, "", "Take it: teams export --to FOLDER"]
