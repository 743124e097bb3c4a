"""`teams estimate`: what a run would ask and cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teams_dagster.cli.project import (
    ASKED,
    check_ready,
    generation_of,
    naming_config,
    naming_folder,
    open_settings,
    read_run_config,
    say,
    say_what_is_lost,
    valid_config,
    wrong_value,
)
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.ledger.database import LedgerError
from teams_dagster.pricing.paid_assets import ESTIMATED_WHEN_RUN, PAID, RLGF_PAID, UNIFORM_PAID
from teams_dagster.pricing.prices import PriceFileError
from teams_dagster.report.terminal import budget_lines, estimate_lines, run_budget_lines
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    from teams_dagster.automation.run_estimate import RunEstimate


OWN_JOBS = {"uniform_arm": UNIFORM_PAID, "train_rlgf": RLGF_PAID}
"""By job, the paid assets that no other job asks for and that are estimated alone."""


@click.command()
@click.option("--partition", help="The generation (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), as for the run itself.",
)
@click.option("--latest", is_flag=True, help="As for the run itself.")
@click.option("--asset", "keys", multiple=True, metavar="KEY", help="Only this asset (may be repeated).")
def estimate(partition: str | None, config: Path | None, latest: bool, keys: tuple[str, ...]) -> None:
    """Say what a run would ask and cost, before its first query. Sends nothing, writes nothing."""
    settings = open_settings()
    check_ready(settings)
    with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
        say_what_is_lost(settings)
    with naming_config(config):
        say("\n".join(_estimated(settings, partition, read_run_config(config, latest), keys)))
    if (shared := settings.shared_line(ASKED)) is not None:
        say(shared)


def _estimated(
    settings: Settings, partition: str | None, run_config: dict[str, Any], keys: tuple[str, ...]
) -> list[str]:
    """The estimate of each paid asset and of all, what is left of the budget, and what the run would be refused for."""
    known = (*PAID, *UNIFORM_PAID, *RLGF_PAID)
    if later := [key for key in keys if key in ESTIMATED_WHEN_RUN]:
        raise click.ClickException(
            f"{', '.join(later)} is not estimated here: its run says what it is going to ask, and for how much, before"
            " its first query"
        )
    if unknown := [key for key in keys if key not in known]:
        raise click.ClickException(f"{', '.join(unknown)} asks nothing: give one of {', '.join(known)}")
    for job in OWN_JOBS.values():
        if 0 < len(set(keys) & set(job)) < len(set(keys)):
            raise click.ClickException(f"{', '.join(job)}: asked by a job of its own, so estimate it alone")
    return estimate_lines_of(settings, generation_of(partition), run_config, keys or ("seed_instructions", *PAID))


def estimate_lines_of(
    settings: Settings, partition: str, run_config: dict[str, Any], wanted: tuple[str, ...]
) -> list[str]:
    """The same of the assets `wanted`. Raises ClickException for what the run would be refused for."""
    found, run = _estimate_of(settings, partition, run_config, wanted)
    lines = [
        *estimate_lines(found.steps, found.total),
        *budget_lines(found.spent, settings.budget, found.total),
        *run_budget_lines(run.run, run.roles),
    ]
    if found.preflight is not None:
        lines.append(f"before it the roles are tried, as teams preflight does: {found.preflight}")
    paid = [role for role in found.roles if settings.role(role).leaves_machine and not run.cover(role.value)]
    if paid:
        lines.append(f"{', '.join(paid)} would be asked at a provider: without a budget the run is refused")
    return lines


def first_estimate(settings: Settings, partition: str | None, run_config: dict[str, Any]) -> str | None:
    """The whole run's estimate in one line; None when nothing would be asked."""
    found, _ = _estimate_of(settings, generation_of(partition), run_config, ("seed_instructions", *PAID))
    return f"the whole run: {found.total}" if found.total.queries.most else None


def _estimate_of(
    settings: Settings, partition: str, run_config: dict[str, Any], wanted: tuple[str, ...]
) -> tuple["RunEstimate", Budgets]:
    """What a run would ask, and what bounds it. Raises ClickException for what the run would be refused for."""
    import pydantic

    from resources.language_models.run_budgets import RunBudget
    from teams_dagster.automation.run_estimate import estimate_run
    from teams_dagster.store.artefact_store import ArtefactMissing
    from teams_dagster.store.damage import ArtefactDamaged
    from teams_dagster.store.shared import SharedArtefactsFailed

    try:
        job = next((job for job, keys in OWN_JOBS.items() if set(wanted) & set(keys)), "everything")
        valid = valid_config(run_config, job)
        configs = {name: step.get("config", {}) for name, step in valid["ops"].items()}
        budgets = RunBudget(**valid["resources"]["models"]["config"].get("budget", {})).beside(settings.budget)
        with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
            return estimate_run(settings, partition, configs, wanted), budgets
    except pydantic.ValidationError as error:
        raise wrong_value(error) from None
    except (ArtefactMissing, ArtefactDamaged, SharedArtefactsFailed, LedgerError, PriceFileError, ValueError) as error:
        raise click.ClickException(str(error)) from None
