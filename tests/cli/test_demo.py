"""`teams demo`: which steps run side by side, in which order, and what is left of them when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

import teams_dagster.cli.demo as command
import teams_dagster.cli.written as written
from teams_dagster.cli.demo import _check_lines, _side_by_side
from teams_dagster.cli.project import open_settings
from teams_dagster.definitions import defs
from tests.support.processes import ends, until

ROOT = Path(__file__).parent.parent.parent

DATASET = [
    "seed_instructions",
    "trained_policy",
    "generated_instructions",
    "expert_responses",
    "instruction_dataset",
    "sample_lineage",
]
MODELS = ["base_model", "lora_model", "qlora_model"]

EMBEDDED = {f"TEAMS_{role}_PROVIDER": "offline" for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "JUDGE")}
HERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "cores", lambda: 2)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))


def test_steps_run_side_by_side_where_everything_is_embedded() -> None:
    assert _side_by_side(open_settings())


def test_one_core_runs_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "cores", lambda: 1)
    assert not _side_by_side(open_settings())


@pytest.mark.parametrize(
    "environment",
    [
        EMBEDDED | {"TEAMS_EXPERT_PROVIDER": "openai", "TEAMS_EXPERT_MODEL": "m", "TEAMS_EXPERT_BASE_URL": HERE},
        EMBEDDED | {"TEAMS_EXPERT_RPM": "60"},
        {"TEAMS_STUDENT": "some/model"},
    ],
    ids=["a provider", "a limit a minute", "a configured student"],
)
def test_steps_that_would_share_a_limit_or_a_processor_run_alone(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not _side_by_side(open_settings())


@pytest.mark.parametrize("job", ["everything", "demo"])
def test_the_dataset_comes_before_its_checks_these_before_models_and_the_comparison_last(job: str) -> None:
    graph = defs.resolve_job_def(job).graph
    priority = {node.name: int(node.definition.tags.get("dagster/priority", 0)) for node in graph.nodes}
    checks = [priority[name] for name in ("seed_instructions_few_rows_are_refused", "evaluation_scores")]
    assert min(priority[name] for name in DATASET) > max(checks)
    assert min(checks) > max(priority[name] for name in MODELS)
    assert min(priority[name] for name in MODELS) > priority["policy_comparison"]


def test_a_dataset_waits_for_no_check_but_those_that_could_stop_it() -> None:
    graph, priority = (
        defs.resolve_asset_graph(),
        {node.name: node.definition.tags.get("dagster/priority") for node in defs.resolve_job_def("demo").graph.nodes},
    )
    waited_for = {
        f"{key.asset_key.to_user_string()}_{key.name}"
        for key in graph.asset_check_keys
        if graph.get(key).blocking and key.asset_key.to_user_string() in DATASET[:-2]
    }
    assert {name: priority[name] for name in waited_for} == dict.fromkeys(waited_for, priority["trained_policy"])
    assert len(waited_for) == 6


def test_steps_that_run_side_by_side_start_from_a_process_that_imports_early_and_do_not_divide_their_own_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[str | None] = []
    monkeypatch.setattr(command, "start_forkserver", lambda: begun.append(os.environ.get("TEAMS_WORKERS")))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command, "first_estimate", lambda *_: None)
    monkeypatch.setattr(command, "_materialise", lambda *_, **__: 0)
    assert CliRunner().invoke(command.demo).exit_code == 0
    assert begun == ["1"]
    assert "TEAMS_WORKERS" not in os.environ


def test_both_jobs_have_the_same_steps() -> None:
    everything, demo = (set(defs.resolve_job_def(job).graph.node_dict) for job in ("everything", "demo"))
    assert everything == demo


def evaluation(name: str, *, passed: bool, **metadata: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("samples"),
        check_name=name,
        passed=passed,
        description="why",
        metadata={key: dg.MetadataValue.bool(value) for key, value in metadata.items()},
    )


def test_checks_that_did_not_pass_are_named_and_those_with_nothing_to_look_at_are_counted() -> None:
    found = [evaluation("good", passed=True), evaluation("bad", passed=False)]
    idle = [evaluation("idle", passed=True, not_run=True)]
    assert _check_lines(found) == ["check bad of samples: why"]
    assert _check_lines([*found, *idle])[1:] == ["1 checks had nothing to look at: teams checks names them"]


def descendants(process: int) -> list[int]:
    """The processes that a process started, and those that these started."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_step_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAMS_", "DAGSTER"))}
    program = [sys.executable, "-c", "import teams_dagster.cli.demo as d; d.cores = lambda: 2; d.demo()"]
    with subprocess.Popen(
        program,
        env={**environment, "TEAMS_DATA_DIR": str(data)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:

        def trains() -> bool:
            return any(data.glob("assets/**/parts/*/transitions.parquet"))

        try:
            until(lambda: running.poll() is not None or trains(), 900, "no policy was being trained", every_s=0.05)
            assert running.poll() is None, "it ended before it could be killed"
            begun = descendants(running.pid)
        finally:
            running.kill()
    assert len(begun) > 2
    assert all(ends(process) for process in begun)


def test_the_demo_on_real_models_has_a_data_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, environment = open_settings(), {"TEAMS_EXPERT_PROVIDER": "openai"}
    monkeypatch.setattr(command.os, "environ", environment)
    command.choose_real_models(settings)
    assert environment["TEAMS_DATA_DIR"] == str(tmp_path / "data" / "real")
    assert environment["TEAMS_STUDENT"] == "smollm2"
    assert environment["TEAMS_EXPERT_PROVIDER"] == "offline"


def test_the_sizes_of_the_demo_on_real_models_are_a_run_configuration_of_the_whole_graph() -> None:
    sizes = yaml.safe_load(command.REAL_SIZES.read_text())
    assert dg.validate_run_config(defs.resolve_job_def("everything"), sizes)


def test_the_written_demo_has_a_data_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, environment = open_settings(), {"TEAMS_EXPERT_BASE_URL": "https://api.openai.com/v1"}
    monkeypatch.setattr(written.os, "environ", environment)
    written.choose_writer(settings)
    assert environment["TEAMS_DATA_DIR"] == str(tmp_path / "data" / "written")
    assert environment["TEAMS_EXPERT_BASE_URL"] == "http://127.0.0.1:8137/v1"


def test_the_sizes_of_the_written_demo_are_a_run_configuration_of_its_job() -> None:
    sizes = yaml.safe_load(written.WRITTEN_SIZES.read_text())
    assert dg.validate_run_config(defs.resolve_job_def(written.WRITTEN_JOB), sizes)


def test_two_demos_at_once_are_refused() -> None:
    result = CliRunner().invoke(command.demo, ["--real", "--written"])
    assert result.exit_code == 2
    assert "--real and --written are two demos" in result.output


def test_a_writer_whose_file_is_not_made_says_what_to_type(tmp_path: Path) -> None:
    elsewhere = open_settings().model_copy(update={"root": tmp_path})
    with pytest.raises(click.ClickException, match="run make models"), written.serving_writer(elsewhere):
        pass
