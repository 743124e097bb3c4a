"""Door: the `teams` command."""

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from teams_dagster.completions.protocol import Role
from teams_dagster.ledger.budgets import Budgets, Spent
from teams_dagster.ledger.costs import COLUMNS, DAY, Cost, costs_by, existing_ledger, total_cost
from teams_dagster.ledger.database import LedgerError
from teams_dagster.ledger.prices import PriceFileError
from teams_dagster.ledger.read_model import UP_TO_DATE
from teams_dagster.ledger.writer import Ledger
from teams_dagster.report.terminal import (
    Made,
    account_lines,
    baseline_line,
    budget_lines,
    cost_lines,
    dollars,
    estimate_lines,
    made_lines,
    policy_lines,
    run_budget_lines,
    score_lines,
)
from teams_dagster.settings import Settings, SettingsError, find_root, load_settings

if TYPE_CHECKING:
    import dagster as dg
    import pydantic

    from assets.estimates import RunEstimate

PROCESS_TAG = "teams/process"

_CLASS_PATH = re.compile(r"\A[\w.]+\.\w+: ")
"""How Dagster begins an error's message."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """teams-dagster: a learned policy writes your instruction dataset, and every query is on the ledger."""


@main.command()
@click.option("--partition", help="The generation to make (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), for example other numbers of seeds or iterations.",
)
@click.option("--latest", is_flag=True, help="Begin the generation again with the seeds and the policy of now.")
def demo(partition: str | None, config: Path | None, latest: bool) -> None:
    """Materialise the whole graph for one generation, and say what was made."""
    settings = _settings()
    _check_ready(settings)
    prepare_home(settings)
    with _one_at_a_time(settings.data_dir):
        wanted = _run_config(config, latest)
        if (line := _first_estimate(settings, partition, wanted)) is not None:
            click.echo(line)
        sys.exit(_materialise_everything(settings, partition, wanted))


@main.command()
@click.option("--port", default=3000, show_default=True)
def ui(port: int) -> None:
    """Serve the Dagster UI on 127.0.0.1 over the same data."""
    settings = _settings()
    prepare_home(settings)
    os.chdir(settings.root)
    click.echo(f"The UI comes up on http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, [str(dagster), "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)])


@main.command()
@click.option("--partition", help="The generation (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), as for the run itself.",
)
@click.option("--latest", is_flag=True, help="As for the run itself.")
@click.option("--asset", "keys", multiple=True, metavar="KEY", help="Only this asset (may be repeated).")
def estimate(partition: str | None, config: Path | None, latest: bool, keys: tuple[str, ...]) -> None:
    """Say what a run would ask and cost, before its first question. Sends nothing, writes nothing."""
    settings = _settings()
    _check_ready(settings)
    click.echo("\n".join(_estimated(settings, partition, _run_config(config, latest), keys)))


@main.command()
@click.option("--by", default="role", show_default=True, help=f"Columns, separated by commas: {', '.join(COLUMNS)}.")
@click.option("--where", "wanted", multiple=True, metavar="COLUMN=VALUE", help="Only these rows (may be repeated).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table; money in nano-dollars.")
def costs(by: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """The account of every question, by any column, straight from the ledger."""
    settings = _settings()
    columns = list(dict.fromkeys(column.strip() for column in by.split(",") if column.strip()))
    try:
        with existing_ledger(settings.ledger_url) as ledger:
            found = costs_by(ledger, columns, _conditions(wanted)) if ledger else []
            whole = total_cost(ledger) if ledger else Cost({})
            spent = ledger.spent() if ledger else Spent()
    except (ValueError, LedgerError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        content = {"costs": [asdict(cost) for cost in found], "total": asdict(whole), "spent": asdict(spent)}
        click.echo(json.dumps(content | {"budget": asdict(settings.budget)}, indent=1))
        return
    total = f"total: {whole.asked:,} questions, {whole.calls:,} calls, {dollars(whole)}"
    lines = [
        *account_lines(found, columns),
        "",
        total,
        *budget_lines(spent, settings.budget),
        baseline_line(whole.asked),
    ]
    click.echo("\n".join(lines))


def prepare_home(settings: Settings) -> None:
    """Create DAGSTER_HOME, with the project's dagster.yaml unless it has one, and point Dagster at it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text((settings.root / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)


def _settings() -> Settings:
    try:
        return load_settings(find_root())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _check_ready(settings: Settings) -> None:
    """Say before anything is made what would stop the run later."""
    try:
        for role in (Role.EXPERT, Role.REVIEWER, Role.INSTRUCTOR):
            settings.role(role)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    for name, files in (("TEAMS_SEEDS", [settings.seeds]), ("TEAMS_EVALUATION_SETS", settings.evaluation_sets)):
        for file in files:
            if file is not None and not file.is_file():
                raise click.ClickException(f"{name} names {file}, and there is no such file")


def _conditions(wanted: Iterable[str]) -> dict[str, str | None]:
    """`column=value` as a mapping; an empty value stands for none. Raises ValueError."""
    conditions: dict[str, str | None] = {}
    for condition in wanted:
        column, equals, value = condition.partition("=")
        if not equals:
            raise ValueError(f"--where {condition!r} must be COLUMN=VALUE, such as asset_key=generated_instructions")
        column, value = column.strip(), value.strip()
        if column in conditions:
            raise ValueError(f"--where {column}=... is given twice: rows have one {column}, so give one value")
        if column == DAY and not value:
            raise ValueError(f"--where {condition!r} names no day: write day=YYYY-MM-DD")
        conditions[column] = value or None
    return conditions


def _estimated(
    settings: Settings, partition: str | None, run_config: dict[str, Any], keys: tuple[str, ...]
) -> list[str]:
    """The estimate of each paid asset and of all, what is left of the budget, and what the run would be refused for."""
    from assets.estimates import PAID

    if unknown := [key for key in keys if key not in PAID]:
        raise click.ClickException(f"{', '.join(unknown)} asks nothing: give one of {', '.join(PAID)}")
    found, run = _estimate_of(settings, _generation(partition), run_config, keys or ("seed_instructions", *PAID))
    lines = [
        *estimate_lines(found.steps, found.total),
        *budget_lines(found.spent, settings.budget, found.total),
        *run_budget_lines(run.run, run.roles),
    ]
    paid = [role for role in found.roles if settings.role(role).leaves_machine and not run.cover(role.value)]
    if paid:
        lines.append(f"{', '.join(paid)} would be asked at a provider: without a budget the run is refused")
    return lines


def _first_estimate(settings: Settings, partition: str | None, run_config: dict[str, Any]) -> str | None:
    """The whole run's estimate in one line; None when nothing would be asked."""
    from assets.estimates import PAID

    found, _ = _estimate_of(settings, _generation(partition), run_config, ("seed_instructions", *PAID))
    return f"the whole run: {found.total}" if found.total.queries.most else None


def _estimate_of(
    settings: Settings, partition: str, run_config: dict[str, Any], wanted: tuple[str, ...]
) -> tuple["RunEstimate", Budgets]:
    """What a run would ask, and what bounds it. Raises ClickException for what the run would be refused for."""
    import dagster as dg
    import pydantic

    from assets.estimates import estimate_run
    from resources.budget import RunBudget
    from resources.stores import ArtefactMissing
    from teams_dagster.definitions import defs

    try:
        valid = dg.validate_run_config(defs.resolve_job_def("everything"), run_config)
        configs = {name: step.get("config", {}) for name, step in valid["ops"].items()}
        budgets = RunBudget(**valid["resources"]["models"]["config"].get("budget", {})).beside(settings.budget)
        return estimate_run(settings, partition, configs, wanted), budgets
    except dg.DagsterInvalidConfigError as error:
        raise click.ClickException(_wrong_config(error)) from None
    except pydantic.ValidationError as error:
        raise click.ClickException(_wrong_value(error)) from None
    except (ArtefactMissing, LedgerError, PriceFileError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _run_config(path: Path | None, latest: bool) -> dict[str, Any]:
    """The run configuration in a file, if any, with the choice of beginning the generation again."""
    config = _read_config(path) if path else {}
    if latest:
        generation = config.setdefault("ops", {}).setdefault("generated_instructions", {}).setdefault("config", {})
        generation["policy"] = "latest"
    return config


def _read_config(path: Path) -> dict[str, Any]:
    """Raises ClickException for a file that holds no mapping."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is no YAML or JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.ClickException(f"{path} must hold a mapping such as {{ops: {{trained_policy: {{config: ...}}}}}}")
    return found


@contextmanager
def _one_at_a_time(data_dir: Path) -> Iterator[None]:
    """Refuse a second run over the same data. The kernel gives the lock back when a run dies."""
    with (data_dir / "demo.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"a demo is running over {data_dir} already: wait for it, or stop it") from None
        yield


def _materialise_everything(settings: Settings, partition: str | None, run_config: dict[str, Any]) -> int:
    """Run the job `everything` in this process, and print what came of it; the exit code."""
    import dagster as dg

    from teams_dagster.definitions import defs

    partition = _generation(partition)
    began = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        _close_dead_runs(instance)
        try:
            result = defs.resolve_job_def("everything").execute_in_process(
                instance=instance,
                partition_key=partition,
                run_config={**run_config, "loggers": {"console": {"config": {}}}},
                tags={PROCESS_TAG: str(os.getpid())},
                raise_on_error=False,
            )
        except dg.DagsterInvalidConfigError as error:
            raise click.ClickException(_wrong_config(error)) from None
    click.echo("\n" + "\n".join(made_lines(_made(result))))
    if not result.success:
        _say_why(result)
        return 1
    click.echo("\n" + "\n".join([*_notes(result), *_outcome(settings)]))
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    for check in failed:
        click.echo(f"check {check.check_name} of {check.asset_key.to_user_string()}: {check.description}")
    click.echo(f"\ngeneration {partition} made in {time.monotonic() - began:.0f} s. Where to look:")
    click.echo(f"  make ui{'':<16} the graph, the plots, the checks, this run\n  {settings.data_dir / 'report.html'}")
    click.echo(f"  {settings.data_dir / 'teams.duckdb'}  every query, transition and sample, in SQL{_behind(settings)}")
    return 0


def _generation(partition: str | None) -> str:
    """The generation that is meant. Raises ClickException for a day that begins none."""
    from assets.partitions import GENERATIONS

    known = GENERATIONS.get_partition_keys()
    if partition and partition not in known:
        raise click.ClickException(f"{partition} is no generation: give a Monday from {known[0]} to {known[-1]}")
    return partition or known[-1]


def _wrong_config(error: "dg.DagsterInvalidConfigError") -> str:
    wrong = "\n  ".join(problem.message.split(" Expected:")[0] for problem in error.errors)
    return f"the run configuration cannot be used:\n  {wrong}"


def _wrong_value(error: "pydantic.ValidationError") -> str:
    problems = (
        f"{error.title}, {'.'.join(map(str, problem['loc']))}: {problem['msg']}, not {problem['input']!r}"
        for problem in error.errors()
    )
    return "the run configuration cannot be used:\n  " + "\n  ".join(problems)


def _made(result: "dg.ExecuteInProcessResult") -> list[Made]:
    """Each asset of the run with its seconds, in the order they were made."""
    seconds = {event.step_key: event.step_success_data.duration_ms / 1000 for event in result.get_step_success_events()}
    made = []
    for event in result.get_asset_materialization_events():
        reused = event.materialization.metadata.get("reused")
        key = event.materialization.asset_key.to_user_string()
        made.append(Made(key, seconds.get(event.step_key, 0.0), bool(reused and reused.value)))
    return made


def _notes(result: "dg.ExecuteInProcessResult") -> list[str]:
    """What somebody should know who looks at the terminal only."""
    notes = []
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        if "note" in metadata:
            notes.append(f"Note: {metadata['note'].value}.")
        if event.materialization.asset_key.to_user_string() == "seed_instructions":
            rows, refused = metadata["dagster/row_count"].value, metadata["refused"].value
            why = "; the asset's metadata and the table refused_seeds say why" if refused else ""
            notes.append(f"{rows} seeds from {metadata['source'].value}, {refused} rows refused{why}.")
    return [*notes, ""]


def _outcome(settings: Settings) -> list[str]:
    """The account, the policy and the scores."""
    from assets.comparison.asset import read_policy_scores
    from assets.evaluation import read_evaluation_scores
    from resources.stores import ArtefactStore

    store = ArtefactStore(data_dir=str(settings.data_dir))
    with Ledger(settings.ledger_url) as ledger:
        account = cost_lines(costs_by(ledger, ["role"]))
    policies = policy_lines(read_policy_scores(store.current("policy_comparison")))
    scores = score_lines(read_evaluation_scores(store.current("evaluation_scores")))
    return [*account, "", *policies, "", *scores, ""]


def _behind(settings: Settings) -> str:
    """Whether the read model could not be brought up to date, and why."""
    from resources.ledger import LedgerConnection
    from resources.stores import ArtefactStore

    store = ArtefactStore(data_dir=str(settings.data_dir))
    report = LedgerConnection(root=str(settings.root), store=store).refresh()
    return "" if report.published or report.reason == UP_TO_DATE else f" (behind: {report.reason})"


def _say_why(result: "dg.ExecuteInProcessResult") -> None:
    """Name what failed, and how to go on."""
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        cause = error.cause if error and error.cause else error
        why = _CLASS_PATH.sub("", cause.message.strip()) if cause else "no reason was recorded"
        click.echo(f"\n{event.step_key} failed: {why}", err=True)
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.blocking:
            click.echo(f"\ncheck {check.check_name} stops the run: {check.description}", err=True)
    click.echo(
        f"\nWhat was paid is kept, and the same command goes on from here. Run {result.run_id} in the UI (make ui)"
        " has the details.",
        err=True,
    )


def _close_dead_runs(instance: "dg.DagsterInstance") -> None:
    """Mark runs as failed whose process was killed: nobody else would, without the daemon."""
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        process = run.tags.get(PROCESS_TAG)
        if process and not _alive(int(process)):
            instance.report_run_failed(run, f"its process {process} was killed; a later run continues its work")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
