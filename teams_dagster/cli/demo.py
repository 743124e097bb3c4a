"""`teams demo`: the whole graph for one generation."""

import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from filelock import Timeout

from resources.forkserver import start_forkserver
from teams_dagster.cli.checks import NOT_RUN
from teams_dagster.cli.estimate import first_estimate
from teams_dagster.cli.project import (
    ASKED,
    check_ready,
    close_dead_runs,
    generation_of,
    naming_config,
    open_settings,
    open_store,
    prepare_home,
    process_tags,
    read_run_config,
    say,
    say_what_is_lost,
    wrong_config,
)
from teams_dagster.cli.written import WRITTEN_JOB, WRITTEN_SIZES, choose_writer, serving_writer
from teams_dagster.core.files import locked
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.child_process import cores
from teams_dagster.report.terminal import Made, cost_lines, made_lines, policy_lines, score_lines, win_rate_lines
from teams_dagster.settings import Settings
from teams_dagster.store.read_model import UP_TO_DATE

if TYPE_CHECKING:
    import dagster as dg

EVERYTHING = "everything"
"""The job of the whole graph."""

LINEAGE = "sample_lineage"
"""The step after which somebody has a dataset, how each of its samples came about, and what it cost."""

REAL_SIZES = Path(__file__).parent / "real.yaml"
"""The run configuration of a demo on real models: sizes that fit two cores and forty minutes."""

REAL_FOLDER = "real"
"""Of the data folder: the demo on real models lies beside the quick one, with a report of its own."""

_REAL_MODELS = {
    "TEAMS_STUDENT": "smollm2",
    "TEAMS_REVIEWER_PROVIDER": "embedding",
    "TEAMS_REVIEWER_MODEL": "minilm",
    **{f"TEAMS_{role}_PROVIDER": "offline" for role in ("INSTRUCTOR", "EXPERT", "JUDGE")},
    **{f"TEAMS_{role}_MODEL": "rules" for role in ("INSTRUCTOR", "EXPERT", "JUDGE")},
}


@click.command()
@click.option("--partition", help="The generation to make (a Monday, YYYY-MM-DD). Default: the current week.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dagster run configuration (YAML or JSON), for example other numbers of seeds or iterations.",
)
@click.option("--latest", is_flag=True, help="Begin the generation again with the seeds and the policy of now.")
@click.option(
    "--real",
    is_flag=True,
    help="With the two real models of `make models` for student and reviewer, in the folder `real` of the data folder:"
    " about forty minutes on two cores.",
)
@click.option(
    "--written",
    is_flag=True,
    help="A dataset that SmolLM2 writes behind llama.cpp's server and MiniLM reviews (`make models`), in the folder"
    " `written` of the data folder: no policy and no student.",
)
def demo(partition: str | None, config: Path | None, latest: bool, real: bool, written: bool) -> None:
    """Materialise the whole graph for one generation, and say what was made."""
    if real and written:
        raise click.UsageError("--real and --written are two demos: give one of them")
    settings = open_settings()
    if real or written:
        (choose_real_models if real else choose_writer)(settings)
        settings = open_settings()
    check_ready(settings)
    say_what_is_lost(settings)
    prepare_home(settings)
    sizes = REAL_SIZES if real else WRITTEN_SIZES if written else None
    with _one_at_a_time(settings.data_dir), serving_writer(settings) if written else nullcontext():
        wanted = read_run_config(config or sizes, latest)
        with naming_config(config), nullcontext() if written else _forking_early(settings):
            if not written and (line := first_estimate(settings, partition, wanted)) is not None:
                say(line)
            if (shared := settings.shared_line(ASKED)) is not None:
                say(shared)
            ui = _ui(settings, apart=real or written)
            sys.exit(_materialise(settings, partition, wanted, job=WRITTEN_JOB if written else EVERYTHING, ui=ui))


@contextmanager
def _forking_early(settings: Settings) -> Generator[None]:
    """Where steps run side by side, the process that they are forked from imports while this one goes on.

    In the block none of them divides its own work between processes: another step has the other processor.
    """
    if not _side_by_side(settings):
        yield
        return
    if settings.workers is None:
        os.environ["TEAMS_WORKERS"] = "1"
    start_forkserver()
    try:
        yield
    finally:
        if settings.workers is None:
            del os.environ["TEAMS_WORKERS"]


def choose_real_models(settings: Settings) -> None:
    """Point this process, and those it starts, at two small real models and at the folder `real` of the data folder.

    What the environment or `.env` says of these variables does not count.
    """
    os.environ |= _REAL_MODELS | {"TEAMS_DATA_DIR": str(settings.data_dir / REAL_FOLDER)}


@contextmanager
def _one_at_a_time(data_dir: Path) -> Generator[None]:
    """Refuse a second run over the same data. The kernel gives the lock back when a run dies."""
    with ExitStack() as locks:
        try:
            locks.enter_context(locked(data_dir / "demo.lock", timeout_s=0))
        except Timeout:
            raise click.ClickException(f"a demo is running over {data_dir} already: wait for it, or stop it") from None
        yield


def _ui(settings: Settings, *, apart: bool) -> str:
    """What opens the UI over this data, which may lie `apart` from what the environment says."""
    return f"TEAMS_DATA_DIR={settings.data_dir} make ui" if apart else "make ui"


def _materialise(settings: Settings, partition: str | None, run_config: dict[str, Any], *, job: str, ui: str) -> int:
    """Run `job`, and print what came of it; the exit code."""
    import dagster as dg

    partition = generation_of(partition)
    began = time.time()
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        try:
            result = _run(settings, instance, partition, job, {**run_config, "loggers": {"console": {"config": {}}}})
        except dg.DagsterInvalidConfigError as error:
            raise wrong_config(error) from None
        ended = {step.step_key: step.end_time or began for step in instance.get_run_step_stats(result.run_id)}
    say("\n" + "\n".join(made_lines(_made(result))))
    if not result.success:
        _say_why(result, ui)
        return 1
    outcome = _outcome(settings) if job == EVERYTHING else _pairs(settings, partition)
    say("\n" + "\n".join([*_notes(result), *outcome, *_check_lines(result.get_asset_check_evaluations())]))
    say(
        f"\nthe dataset was ready, with its lineage and its cost, after {ended[LINEAGE] - began:.0f} s"
        f"\ngeneration {partition} made in {time.time() - began:.0f} s. Where to look:"
    )
    say(f"  {ui:<22} the graph, the plots, the checks, this run")
    if job == EVERYTHING:
        say(f"  {settings.data_dir / 'report.html'}")
    say(f"  {settings.data_dir / 'teams.duckdb'}  every query, transition and sample, in SQL{_behind(settings)}")
    return 0


def _run(
    settings: Settings, instance: "dg.DagsterInstance", partition: str, job: str, run_config: dict[str, Any]
) -> "dg.ExecuteInProcessResult | dg.JobExecutionResult":
    """Run `job` in this process; of `everything` the job `demo`, where steps may run side by side."""
    import dagster as dg

    from teams_dagster.automation.runs import PARTITION
    from teams_dagster.definitions import defs

    if job == EVERYTHING and _side_by_side(settings):
        from teams_dagster.cli.demo_job import demo_job

        return dg.execute_job(
            dg.reconstructable(demo_job),
            instance=instance,
            run_config=run_config,
            tags={**process_tags(), PARTITION: partition},
        )
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition,
        run_config=run_config,
        tags=process_tags(),
        raise_on_error=False,
    )


def _side_by_side(settings: Settings) -> bool:
    """Whether steps have nothing to share: everything that is asked or trained is embedded, and there are two cores."""
    asked = (settings.role(role) for role in ASKED)
    embedded = all(role.provider == "offline" and not role.rpm and not role.tpm for role in asked)
    return embedded and settings.student is None and cores() > 1


def _check_lines(found: "Sequence[dg.AssetCheckEvaluation]") -> list[str]:
    """The checks that did not pass, and how many had nothing to look at."""
    lines = [
        f"check {check.check_name} of {check.asset_key.to_user_string()}: {check.description}"
        for check in found
        if not check.passed
    ]
    idle = sum(check.passed and NOT_RUN in check.metadata for check in found)
    return [*lines, f"{idle} checks had nothing to look at: teams checks names them"] if idle else lines


def _made(result: "dg.ExecuteInProcessResult | dg.JobExecutionResult") -> list[Made]:
    """Each asset of the run with its seconds, in the order they were made."""
    seconds = {event.step_key: event.step_success_data.duration_ms / 1000 for event in result.get_step_success_events()}
    made: list[Made] = []
    for event in result.get_asset_materialization_events():
        reused = event.materialization.metadata.get("reused")
        key = event.materialization.asset_key.to_user_string()
        made.append(Made(key, seconds.get(event.step_key, 0.0), bool(reused and reused.value)))
    return made


def _notes(result: "dg.ExecuteInProcessResult | dg.JobExecutionResult") -> list[str]:
    """What somebody should know who looks at the terminal only."""
    notes: list[str] = []
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
    from teams_dagster.evaluation.stored import read_evaluation_scores, read_win_rates
    from teams_dagster.policy.comparison.stored import read_policy_scores

    store = open_store(settings)
    policies = policy_lines(read_policy_scores(store.current("policy_comparison")))
    scores = score_lines(read_evaluation_scores(store.current("evaluation_scores")))
    judged = win_rate_lines(read_win_rates(store.current("judged_win_rate")))
    return [*_account(settings), *policies, "", *scores, "", *judged, ""]


def _account(settings: Settings) -> list[str]:
    """What was asked and paid, by role."""
    with Ledger(settings.ledger_url) as ledger:
        return [*cost_lines(costs_by(ledger, ["role"])), ""]


def _pairs(settings: Settings, partition: str) -> list[str]:
    """The account, and what became of edits and answers."""
    from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts

    store = open_store(settings)
    edits = store.current("generated_instructions", partition).read_facts(GenerationFacts)
    answers = store.current("expert_responses", partition).read_facts(ResponseFacts)
    refused = ", ".join(f"{count} {reason}" for reason, count in answers.refused.items())
    return [
        *_account(settings),
        f"{edits.accepted} of {edits.transitions} edits accepted; {answers.kept} of {answers.samples} answers kept"
        + (f" ({refused})" if refused else ""),
        "",
    ]


def _behind(settings: Settings) -> str:
    """Whether the read model could not be brought up to date, and why."""
    import dagster as dg

    from resources.ledger import LedgerConnection

    store = open_store(settings)
    with dg.DagsterInstance.get() as instance:
        report = LedgerConnection(root=str(settings.root), store=store).refresh(instance)
    return "" if report.published or report.reason == UP_TO_DATE else f" (behind: {report.reason})"


def _say_why(result: "dg.ExecuteInProcessResult | dg.JobExecutionResult", ui: str) -> None:
    """Name what failed, and how to go on."""
    from teams_dagster.automation.runs import step_failures

    for failure in step_failures(result.get_step_failure_events()):
        say(f"\n{failure.step} failed: {failure.reason}", err=True)
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.blocking:
            say(f"\ncheck {check.check_name} stops the run: {check.description}", err=True)
    say(
        f"\nWhat was paid is kept, and the same command goes on from here. Run {result.run_id} in the UI ({ui})"
        " has the details.",
        err=True,
    )
