"""`teams checks`: every asset check on what is stored, with an exit code for CI."""

import difflib
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from teams_dagster.cli.project import (
    close_dead_runs,
    open_settings,
    open_store,
    prepare_home,
    process_tags,
    say,
    say_what_is_lost,
)
from teams_dagster.report.checks import CheckOutcome, Result, check_lines, checks_json, summary_line
from teams_dagster.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

NOT_RUN = "not_run"
"""Metadata of a check that had nothing to look at: True."""


class NothingChecked(click.ClickException):
    """No check could begin: the message says what is needed."""

    exit_code = 2


@click.command()
@click.option("--select", "wanted", multiple=True, metavar="CHECK_OR_ASSET", help="Only these (may be repeated).")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write JUnit XML, too.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option(
    "--fail-on", type=click.Choice(["error", "warn"]), default="error", show_default=True, help="The least that fails."
)
def checks(wanted: tuple[str, ...], junit: Path | None, as_json: bool, fail_on: str) -> None:
    """Run the asset checks on what is stored in TEAMS_DATA_DIR. Materialises nothing, asks nothing.

    Exit code 0: no check failed. 1: one failed, or could not be executed. 2: none could begin.
    """
    settings = _settings()
    _require_something_to_check(settings)
    _prepare(settings, junit)
    run_id, outcomes = _run_checks(settings, wanted)
    failing = {Result.FAILED, Result.WARNING} if fail_on == "warn" else {Result.FAILED}
    if junit is not None:
        from teams_dagster.report.checks import junit_xml

        junit.write_bytes(junit_xml(outcomes, failing))
    if as_json:
        click.echo(checks_json(outcomes, run_id))
    else:
        say("\n".join([*check_lines(outcomes), "", f"{summary_line(outcomes)}; make ui shows run {run_id}"]))
    sys.exit(1 if any(outcome.result in failing for outcome in outcomes) else 0)


def _settings() -> Settings:
    try:
        return open_settings()
    except click.ClickException as error:
        raise NothingChecked(error.message) from None


def _require_something_to_check(settings: Settings) -> None:
    """Raises NothingChecked, which says how to get data, for a store without any artefact."""
    data_dir = settings.data_dir
    say_what_is_lost(settings)
    if next(open_store(settings).everything(), None) is not None:
        return
    deeper = sorted(folder.parent for folder in data_dir.glob("*/assets")) if data_dir.is_dir() else []
    hint = f"; did you mean TEAMS_DATA_DIR={deeper[0]}?" if deeper else ""
    raise NothingChecked(
        f"there is nothing to check in {data_dir}{hint or ': make demo fills it'}\n"
        "A store that was made elsewhere is checked where it is restored: TEAMS_DATA_DIR=<path> names the folder that"
        " holds assets/ and ledger.sqlite."
    )


def _prepare(settings: Settings, junit: Path | None) -> None:
    """Everything that will be written can be. Raises NothingChecked."""
    data_dir, home = settings.data_dir, settings.dagster_home
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise NothingChecked(
            f"{data_dir} cannot be written, and the checks open the ledger there and bring teams.duckdb up to date:"
            " copy it to a folder that can be, and set TEAMS_DATA_DIR to the copy"
        )
    try:
        _require_writable(home)
    except OSError as error:
        raise NothingChecked(
            f"Dagster keeps the results in {home}, which cannot be used: {error}. Set DAGSTER_HOME to a folder that can"
            " be written"
        ) from None
    prepare_home(settings)
    try:
        if junit is not None:
            _require_writable(junit.parent)
    except OSError as error:
        raise NothingChecked(f"--junit {junit} cannot be written: {error}") from None


def _require_writable(folder: Path) -> None:
    """Create `folder` where there is none. Raises OSError when it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"no permission to write to {folder}")


def _run_checks(settings: Settings, wanted: tuple[str, ...]) -> tuple[str, list[CheckOutcome]]:
    """Run the job `checks` in this process, and say what came of each check. Standard output stays empty."""
    import dagster as dg

    from teams_dagster.definitions import definitions

    job = definitions(settings).resolve_job_def("checks")
    layer = cast(Any, job.asset_layer)  # Dagster leaves open what its handles are of
    steps: dict[str, dg.AssetCheckKey] = {
        layer.get_op_output_handle(key).node_handle.name: key for key in layer.asset_graph.asset_check_keys
    }
    chosen = {step: steps[step] for step in _selected(steps, wanted)}
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.get() as instance, redirect_stdout(sys.stderr):
        close_dead_runs(instance)
        if sys.stderr.isatty():
            instance.add_event_listener(run_id, _progress(chosen))  # pyright: ignore[reportUnknownMemberType]
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            op_selection=sorted(chosen) if wanted else None,
            run_config={"loggers": {"console": {"config": {}}}},
            tags=process_tags(),
            raise_on_error=False,
        )
    return run_id, _outcomes(result, chosen)


def _selected(steps: "Mapping[str, dg.AssetCheckKey]", wanted: tuple[str, ...]) -> list[str]:
    """The steps of the checks and assets that are wanted, all when none is named. Raises NothingChecked."""
    named: dict[str, set[str]] = {}
    for step, key in steps.items():
        for name in (key.name, key.asset_key.to_user_string()):
            named.setdefault(name, set()).add(step)
    for name in wanted:
        if name not in named:
            near = difflib.get_close_matches(name, named, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"choose from {', '.join(sorted(named))}"
            raise NothingChecked(f"--select {name!r} is no check, and no asset that has one: {hint}")
    return sorted(set[str]().union(*(named[name] for name in wanted)) if wanted else steps)


def _progress(steps: "Mapping[str, dg.AssetCheckKey]") -> "Callable[[dg.EventLogEntry], None]":
    """What says a line on standard error as each check ends."""
    import dagster as dg

    ended: set[str] = set()

    def tell(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            result = _evaluated(event.asset_check_evaluation_data, 0).result
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            result = Result.FAILED
        else:
            return
        ended.add(event.step_key)
        key = steps[event.step_key]
        line = f"{len(ended)} of {len(steps)}  {key.asset_key.to_user_string()}  {key.name}  {result}"
        say(line, err=True)

    return tell


def _outcomes(result: "dg.ExecuteInProcessResult", steps: "Mapping[str, dg.AssetCheckKey]") -> list[CheckOutcome]:
    """What came of each check, by asset and name. One that was not evaluated failed, and says why."""
    from teams_dagster.automation.runs import step_failures

    seconds = {event.step_key: event.step_success_data.duration_ms / 1000 for event in result.get_step_success_events()}
    evaluations = {evaluation.asset_check_key: evaluation for evaluation in result.get_asset_check_evaluations()}
    broken = {failure.step: failure for failure in step_failures(result.get_step_failure_events())}
    outcomes: list[CheckOutcome] = []
    for step, key in steps.items():
        if key in evaluations:
            outcomes.append(_evaluated(evaluations[key], seconds.get(step, 0.0)))
            continue
        failure = broken.get(step)
        asset, why = key.asset_key.to_user_string(), failure.reason if failure else "the run ended before it"
        details = failure.traceback if failure else ""
        outcomes.append(CheckOutcome(asset, key.name, Result.FAILED, f"could not be executed: {why}", details=details))
    return sorted(outcomes, key=lambda outcome: (outcome.asset, outcome.check))


def _evaluated(evaluation: "dg.AssetCheckEvaluation", seconds: float) -> CheckOutcome:
    import dagster as dg

    metadata = {name: value.value for name, value in evaluation.metadata.items()}
    finding = evaluation.description or ""
    if metadata.pop(NOT_RUN, False):
        result, finding = Result.NOT_RUN, finding.removeprefix("not run: ")
    elif evaluation.passed:
        result = Result.PASSED
    else:
        result = Result.WARNING if evaluation.severity is dg.AssetCheckSeverity.WARN else Result.FAILED
    details = "\n".join(_details(metadata))
    asset, check = evaluation.asset_key.to_user_string(), evaluation.check_name
    return CheckOutcome(asset, check, result, finding, seconds, details)


def _details(metadata: Mapping[str, Any]) -> Iterable[str]:
    """What else a check recorded, a line each."""
    for name, value in metadata.items():
        yield f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}"
