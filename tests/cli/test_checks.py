"""`teams checks`, on a store that was made elsewhere: two assets of the line, the others missing."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from junitparser import Failure, JUnitXml, Skipped, TestCase

from teams_dagster.cli import main
from teams_dagster.cli.project import PROCESS_TAG
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.schema import results
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.commands import ROOT, blocks_in
from tests.support.stores import trained_store

PACKED = [block.text for block in blocks_in((ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), "docs/ci.md")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on another path."""
    return trained_store(tmp_path_factory)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """The store, restored here."""
    return shutil.copytree(made, tmp_path / "data")


def teams_checks(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["checks", *arguments])


def outcomes(*arguments: str, exit_code: int = 0) -> list[dict[str, str]]:
    """The outcome of each check."""
    result = teams_checks("--json", *arguments)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)["checks"]


def by_name(outcomes: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """By the name of the check; one that several assets have is there once."""
    return {outcome["check"]: outcome for outcome in outcomes}


def found(*arguments: str, exit_code: int = 0) -> dict[str, dict[str, str]]:
    return by_name(outcomes(*arguments, exit_code=exit_code))


def selecting(*names: str) -> list[str]:
    """The arguments with which only these checks, and those of these assets, run."""
    return [word for name in names for word in ("--select", name)]


def reported(path: Path) -> dict[str, TestCase]:
    return {case.name: case for suite in JUnitXml.fromfile(str(path)) for case in suite}


def latest_run() -> dg.DagsterRun:
    with dg.DagsterInstance.get() as instance:
        return instance.get_runs(limit=1)[0]


@dataclass(frozen=True)
class Checked:
    """A store on which every check ran."""

    home: Path
    outcomes: list[dict[str, str]]
    spent_before: Spent
    spent_after: Spent


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Every check, run once."""
    folder = tmp_path_factory.mktemp("whole")
    data, home = shutil.copytree(made, folder / "data"), folder / "home"
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("TEAMS_DATA_DIR", str(data))
        settings.setenv("DAGSTER_HOME", str(home))
        before = spent_in(data)
        return Checked(home, outcomes(), before, spent_in(data))


def spent_in(data: Path) -> Spent:
    with Ledger(sqlite_url(data / "ledger.sqlite")) as ledger:
        return ledger.spent()


def forget_a_fact(data: Path) -> None:
    """Leave a manifest that the checks of the policy stumble over."""
    manifest = ArtefactStore(data_dir=str(data)).current("trained_policy").folder / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["facts"]["flat_reward"]
    manifest.write_text(json.dumps(content))


def break_a_promise(data: Path) -> None:
    with Ledger(sqlite_url(data / "ledger.sqlite")) as ledger, ledger.engine.begin() as database:
        latest = sa.select(sa.func.max(results.c.seq)).scalar_subquery()
        database.execute(sa.update(results).where(results.c.seq == latest).values(outcome="nonsense"))


@pytest.mark.slow
def test_what_is_stored_passes_and_what_is_missing_is_not_run(whole: Checked) -> None:
    checked = by_name(whole.outcomes)
    assert checked["seeds_fill_every_split"]["result"] == "passed"
    assert checked["policy_acts"]["result"] == "passed"
    assert checked["ledger_keeps_its_promises"]["result"] == "passed"
    missing = checked["lora_adapter_answers"]
    assert missing["result"] == "not run"
    assert missing["finding"].startswith("base_model has no output in ")


def test_the_table_names_every_check_and_ends_with_a_summary(data: Path) -> None:
    result = teams_checks("--select", "trained_policy", "--select", "lora_model")
    assert result.exit_code == 0, result.output
    header, *rows, empty, summary = result.stdout.splitlines()
    assert header.split() == ["asset", "check", "result", "found"]
    assert empty == ""
    assert summary.startswith(f"{len(rows)} checks: ")
    assert f"make ui shows run {latest_run().run_id}" in summary
    (row,) = [row for row in rows if " policy_acts " in row]
    assert row.split()[:3] == ["trained_policy", "policy_acts", "passed"]


@pytest.mark.slow
def test_results_are_in_dagsters_history_and_nothing_is_materialised(whole: Checked) -> None:
    with dg.DagsterInstance.from_config(str(whole.home)) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        evaluated = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        assert len(evaluated) == len(whole.outcomes)
        assert instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION) == []


def test_nothing_is_asked(whole: Checked) -> None:
    assert whole.spent_after == whole.spent_before


def test_a_check_that_fails_is_named_everywhere_and_ends_with_1(data: Path, tmp_path: Path) -> None:
    break_a_promise(data)
    wanted = ("ledger_keeps_its_promises", "stored_fields_are_unchanged", "policy_acts", "lora_adapter_answers")
    outcomes = found(*selecting(*wanted), "--junit", str(tmp_path / "reports" / "checks.xml"), exit_code=1)
    assert {name for name, outcome in outcomes.items() if outcome["result"] == "failed"} == {
        "ledger_keeps_its_promises",
        "stored_fields_are_unchanged",
    }
    cases = reported(tmp_path / "reports" / "checks.xml")
    assert set(cases) == set(outcomes)
    case = cases["ledger_keeps_its_promises"]
    assert case.classname == "query_costs"
    assert isinstance(case.result[0], Failure)
    assert "a billed call has an outcome: 1 violations" in case.result[0].message
    assert isinstance(cases["lora_adapter_answers"].result[0], Skipped)
    assert cases["policy_acts"].is_passed


def test_a_check_that_raises_has_failed_and_the_others_run(data: Path, tmp_path: Path) -> None:
    forget_a_fact(data)
    wanted = ("trained_policy", "stored_fields_are_unchanged")
    outcomes = found(*selecting(*wanted), "--junit", str(tmp_path / "checks.xml"), exit_code=1)
    assert outcomes["reward_is_not_flat"]["result"] == "failed"
    finding = outcomes["reward_is_not_flat"]["finding"]
    assert finding.startswith("could not be executed: ")
    assert "ManifestDamaged" not in finding
    assert "facts.flat_reward: Field required" in finding
    assert {name for name, outcome in outcomes.items() if outcome["result"] == "failed"} == {
        "reward_is_not_flat",
        "stored_fields_are_unchanged",
    }
    assert outcomes["policy_acts"]["result"] == "passed"
    assert latest_run().status is dg.DagsterRunStatus.FAILURE
    failure = reported(tmp_path / "checks.xml")["reward_is_not_flat"].result[0]
    assert isinstance(failure, Failure)
    assert "in reward_is_not_flat" in (failure.text or "")


def test_a_hostile_text_of_a_broken_store_does_not_reach_the_terminal(data: Path) -> None:
    pointer = data / "assets" / "trained_policy" / "current"
    pointer.write_text("\x1b[2J\u202etxt")
    result = teams_checks("--select", "policy_acts")
    assert "[U+001B][2J[U+202E]txt" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_warning_fails_where_it_is_to_fail(data: Path, tmp_path: Path) -> None:
    manifest = ArtefactStore(data_dir=str(data)).current("trained_policy").folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["facts"]["flat_reward"] = True
    manifest.write_text(json.dumps(content))
    report = tmp_path / "checks.xml"
    only = ("--select", "reward_is_not_flat", "--junit", str(report))
    assert found(*only)["reward_is_not_flat"]["result"] == "warning"
    assert reported(report)["reward_is_not_flat"].is_passed
    assert found(*only, "--fail-on", "warn", exit_code=1)["reward_is_not_flat"]["result"] == "warning"
    assert reported(report)["reward_is_not_flat"].is_failure


def test_only_what_is_selected_runs(data: Path) -> None:
    outcomes = found("--select", "trained_policy", "--select", "few_rows_are_refused")
    of_the_policy = {"policy_acts", "reward_is_not_flat", "policy_reads_the_current_student", "tables_fit_their_schema"}
    assert set(outcomes) == {*of_the_policy, "few_rows_are_refused"}
    with dg.DagsterInstance.get() as instance:
        run_id = latest_run().run_id
        planned = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    assert len(planned) == len(outcomes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("policy_act", "--select 'policy_act' is no check, and no asset that has one: did you mean policy_acts"),
        ("zzz", "choose from adapters_do_not_leak, "),
    ],
)
def test_a_name_that_is_none_is_an_error_with_those_that_are(data: Path, name: str, message: str) -> None:
    result = teams_checks("--select", name)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_an_empty_store_ends_with_2_and_how_to_get_data_and_nothing_is_made(tmp_path: Path) -> None:
    result = teams_checks("--junit", str(tmp_path / "reports" / "checks.xml"))
    assert result.exit_code == 2
    assert f"there is nothing to check in {tmp_path / 'data'}: make demo fills it" in result.stderr
    assert "TEAMS_DATA_DIR=<path>" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_restored_one_folder_too_deep_is_pointed_at(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data.parent))
    result = teams_checks()
    assert result.exit_code == 2
    assert f"did you mean TEAMS_DATA_DIR={data}?" in result.stderr


def test_a_setting_that_is_wrong_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_SEED", "x")
    result = teams_checks()
    assert result.exit_code == 2
    assert "did you mean TEAMS_SEEDS?" in result.stderr


def test_a_home_that_cannot_be_written_ends_with_2_and_the_variable(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = data / "ledger.sqlite" / "home"  # below a file
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    result = teams_checks()
    assert result.exit_code == 2
    assert f"Dagster keeps the results in {home}" in result.stderr
    assert "Set DAGSTER_HOME to a folder that can be written" in result.stderr


def test_a_store_that_cannot_be_written_ends_with_2_and_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != data and real(path, mode))  # root may write anywhere
    result = teams_checks()
    assert result.exit_code == 2
    assert f"{data} cannot be written" in result.stderr
    assert "copy it to a folder that can be, and set TEAMS_DATA_DIR to the copy" in result.stderr


def test_a_report_that_cannot_be_written_ends_with_2_before_anything_runs(data: Path) -> None:
    report = data / "ledger.sqlite" / "checks.xml"  # below a file
    result = teams_checks("--junit", str(report))
    assert result.exit_code == 2
    assert f"--junit {report} cannot be written" in result.stderr
    assert result.stdout == ""


def test_a_run_whose_process_was_killed_is_closed_by_the_next(data: Path) -> None:
    found("--select", "few_rows_are_refused")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    with dg.DagsterInstance.get() as instance:
        tags = {PROCESS_TAG: str(gone.pid)}
        killed = instance.add_run(dg.DagsterRun("checks", status=dg.DagsterRunStatus.STARTED, tags=tags))
        found("--select", "few_rows_are_refused")
        closed = instance.get_run_by_id(killed.run_id)
    assert closed is not None
    assert closed.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_in_a_terminal_each_check_says_when_it_ends_and_standard_output_holds_the_json_alone(data: Path) -> None:
    ours, theirs = pty.openpty()
    code = "from teams_dagster.cli import main; main()"
    arguments = ["checks", "--json", "--select", "few_rows_are_refused", "--select", "seeds_fill_every_split"]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT)
    os.close(theirs)
    said = os.read(ours, 65_536).decode().splitlines()
    assert ended.returncode == 0
    assert len(json.loads(ended.stdout)["checks"]) == 2
    assert said == [
        "1 of 2  seed_instructions  seeds_fill_every_split  passed",
        "2 of 2  seed_instructions  few_rows_are_refused  passed",
    ]


@pytest.mark.slow
def test_what_the_readme_packs_is_what_the_checks_need(
    data: Path, whole: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for block in PACKED for line in block.splitlines() if line.startswith(("tar ", "mkdir "))]
    subprocess.run(["sh", "-ec", "\n".join(lines)], cwd=tmp_path, check=True)
    assert sorted(path.name for path in (tmp_path / "restored").iterdir()) == ["assets", "ledger.sqlite"]
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "restored"))
    monkeypatch.delenv("DAGSTER_HOME")
    results = [[(outcome["check"], outcome["result"]) for outcome in each] for each in (outcomes(), whole.outcomes)]
    assert results[0] == results[1]
    assert (tmp_path / "restored" / "dagster" / "history").is_dir()
