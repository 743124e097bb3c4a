"""The `teams` command: mistakes are named before anything is made."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.exc import OperationalError

from teams_dagster.cli import main
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import ask, ask_in_vain, intend


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("teams_dagster.cli.demo.start_forkserver", lambda: None)  # no run here comes to a step


def demo(*arguments: str) -> Result:
    return teams("demo", *arguments)


def teams(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The project's own, with seven queries asked."""
    with Ledger(sqlite_url(tmp_path / "data" / "ledger.sqlite")) as ledger:
        ask(ledger, "a", "b", asset="trained_policy")
        ask(ledger, "a", "b", "c", run_id="run-2", asset="expert_responses")
        ask_in_vain(ledger, "d")
        intend(ledger, "e")
        yield ledger


def at_a_provider(monkeypatch: pytest.MonkeyPatch, model: str = "nobody-knows") -> None:
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "JUDGE"):
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", model)
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", "https://llm.example.com/v1")
        monkeypatch.setenv(f"TEAMS_{role}_API_KEY", "sk-planted")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TEAMS_SEEDS": "/no/such/seeds.csv"}, "TEAMS_SEEDS names /no/such/seeds.csv"),
        ({"TEAMS_EVALUATION_SETS": "/no/such.jsonl"}, "TEAMS_EVALUATION_SETS names /no/such.jsonl"),
        ({"TEAMS_EXPERT_PROVIDER": "offline"}, "TEAMS_REVIEWER is not: set TEAMS_REVIEWER_MODEL"),
        ({"TEAMS_EXPERT_PROVIDER": "ofline"}, "must be one of offline, openai, transformers, embedding, not 'ofline'"),
        ({"TEAMS_SEED": "x"}, "did you mean TEAMS_SEEDS?"),
    ],
)
def test_a_mistake_in_the_settings_stops_before_anything_is_made(
    environment: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = demo()
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "data" / "assets").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("ops: {generated_instructions: {config: {sedes: 40}}}", 'unexpected config entry "sedes"'),
        ("ops: {trained_policy: {config: {iterations: many}}}", "not valid for expected type"),
        ("[1, 2]", "must hold a mapping"),
        ("ops: [1, 2]", "ops must hold a mapping such as {trained_policy: {config: ...}}, and holds a list"),
        ("{", "is no YAML or JSON"),
        (
            'ops:\n  a: {b: "c\n',
            "config.yaml is no YAML or JSON: line 3: found unexpected end of stream in what begins",
        ),
        (
            "ops:\n  trained_polcy:\n    config: {}\n",
            'config.yaml, line 2: Received unexpected config entry "trained_polcy"',
        ),
        ("ops:\n  trained_policy:\n    config:\n      iterations: many\n", "config.yaml, line 4: Invalid scalar"),
        ("ops: {generated_instructions: {config: {seeds: -3}}}", "config.yaml: GenerationConfig, seeds:"),
    ],
)
def test_a_mistake_in_the_run_configuration_is_named(config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config)
    result = demo("--config", str(tmp_path / "config.yaml"))
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["ops:", "ops: {generated_instructions:}", "{ops: {generated_instructions: {config: }}}"]
)
def test_an_empty_place_in_a_run_configuration_configures_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-16")
    result = teams("estimate", "--config", str(tmp_path / "run.yaml"), "--latest", "--asset", "generated_instructions")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["demo", "costs", "estimate", "lineage"])
def test_a_data_folder_that_is_a_file_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    result = teams(command, *(["0123456789"] if command == "lineage" else []))
    assert result.exit_code == 1
    assert f"TEAMS_DATA_DIR: {tmp_path / 'data'} cannot be a folder" in result.output


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda data: data.symlink_to("gone"), "data is a link to gone, where there is nothing: make that folder"),
        (lambda data: data.symlink_to(data), "where there is nothing"),
        (lambda data: (data.mkdir(), (data / "assets").touch()), "data/assets is no folder: move it away"),
        (lambda data: (data / "ledger.sqlite").mkdir(parents=True), "data/ledger.sqlite is no file: move it away"),
    ],
    ids=["a link to nothing", "a link to itself", "a file for a folder", "a folder for a file"],
)
def test_what_stands_in_the_way_of_a_data_folder_is_named(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    make(tmp_path / "data")
    for command in (["costs"], ["estimate"], ["lineage", "0123456789"], ["export", "--to", "out"], ["clean"]):
        result = teams(*command)
        assert (result.exit_code, said in result.output) == (1, True), command


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            "a/b: No space left on device: make room on that disk",
        ),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), "a/b: Read-only file system: set TEAMS_DATA_DIR to"),
        (OSError(errno.EMFILE, "Too many open files"), "Error: Too many open files: raise the limit"),
        (
            OperationalError("pragma", {}, sqlite3.OperationalError("unable to open database file")),
            "Dagster's history cannot be used (unable to open database file): set DAGSTER_HOME",
        ),
    ],
)
def test_what_the_system_refuses_is_one_sentence(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.cli.costs.open_settings", Mock(side_effect=error))
    result = teams("costs")
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.splitlines()) == 1


def test_a_data_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", "/sys/teams")  # where root may make no folder either
    result = demo()
    assert result.exit_code == 1
    assert "TEAMS_DATA_DIR: /sys/teams cannot be used" in result.output
    assert "Traceback" not in result.output


def test_a_data_folder_that_cannot_be_written_is_named(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "data" / ".teams.duckdb.lock").mkdir()
    result = teams("lineage", "0123456789")
    assert result.exit_code == 1
    assert f"TEAMS_DATA_DIR: {tmp_path / 'data'} cannot be used" in result.output


def test_what_the_terminals_encoding_lacks_is_shown_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with Ledger(sqlite_url(tmp_path / "data" / "ledger.sqlite")) as ledger:
        ask(ledger, "a", run_id="ラン")
    shown = CliRunner(charset="cp1252").invoke(main, ["costs", "--by", "run_id"])
    assert shown.exit_code == 0, shown.exception
    assert "\\u30e9\\u30f3" in shown.output


def test_a_day_that_begins_no_generation_is_refused_with_the_range() -> None:
    result = demo("--partition", "2026-11-17")
    assert result.exit_code == 1
    assert "2026-11-17 is no generation: give a Monday from 2026-01-05" in result.output


def test_the_embedded_default_is_estimated_at_no_dollars_and_nothing_is_written(tmp_path: Path) -> None:
    result = teams("estimate")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[:8]] == [
        "asset",
        "trained_policy",
        "policy_comparison",
        "generated_instructions",
        "expert_responses",
        "pair_scores",
        "judged_win_rate",
        "all",
    ]
    assert "to 9,984)" in lines[1]
    assert all(line.endswith("$0.00") for line in lines[1:8])
    assert "no budget is set" in result.output
    assert "refused" not in result.output
    assert not (tmp_path / "data").exists()


def test_an_estimate_at_a_provider_names_unknown_prices_and_the_missing_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_a_provider(monkeypatch)
    result = teams("estimate", "--asset", "expert_responses")
    assert result.exit_code == 0, result.output
    assert "expert_responses" in result.output
    assert "trained_policy" not in result.output
    assert "no price is known for openai/nobody-knows https://llm.example.com/v1" in result.output
    assert "expert would be asked at a provider: without a budget the run is refused" in result.output
    assert "sk-planted" not in result.output


def test_an_estimate_is_in_dollars_where_prices_are_stated_and_says_what_the_budget_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_a_provider(monkeypatch)
    prices = '[[price]]\nprovider = "openai"\nmodel = "nobody-knows"\ninput = 1000\noutput = 4000\n'
    (tmp_path / "prices.toml").write_text(prices)
    monkeypatch.setenv("TEAMS_PRICES", str(tmp_path / "prices.toml"))
    monkeypatch.setenv("TEAMS_BUDGET_USD", "0.50")
    budget = {"expert": {"queries": 40, "usd": 2.5}}
    run = {"resources": {"models": {"config": {"budget": budget}}}}
    (tmp_path / "run.yaml").write_text(json.dumps(run))
    result = teams("estimate", "--config", str(tmp_path / "run.yaml"))
    assert result.exit_code == 0, result.output
    total = next(line for line in result.output.splitlines() if line.startswith("all "))
    assert total.count("$") == 3
    assert "budget: $0.00 of $0.50 may have been billed, $0.50 left; not enough for the $" in result.output
    assert "budget of expert in this run: 40 queries, $2.50" in result.output
    assert "refused" not in result.output


def test_questions_in_batches_are_estimated_at_the_price_of_batches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_a_provider(monkeypatch)
    prices = '[[price]]\nprovider = "openai"\nmodel = "*"\ninput = 1000\noutput = 1000\nbatch_share = 0.0\n'
    (tmp_path / "prices.toml").write_text(prices)
    monkeypatch.setenv("TEAMS_PRICES", str(tmp_path / "prices.toml"))
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "JUDGE"):
        monkeypatch.setenv(f"TEAMS_{role}_TRANSPORT", "batch")
    rows = {line.split()[0]: line for line in teams("estimate").output.splitlines() if line}
    free = [key for key, line in rows.items() if line.endswith("$0.00") and key != "budget:"]
    assert free == ["generated_instructions", "expert_responses", "pair_scores"]
    assert "$" in rows["trained_policy"]
    assert "$" in rows["all"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--asset", "outcome_scores"], "outcome_scores is not estimated here: its run says what it is going to ask"),
        (["--asset", "report"], "report asks nothing: give one of trained_policy, policy_comparison"),
        (["--partition", "2026-11-17"], "2026-11-17 is no generation"),
    ],
)
def test_an_estimate_of_what_cannot_be_run_is_refused(arguments: list[str], message: str) -> None:
    result = teams("estimate", *arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("resources: {models: {config: {budget: {usd: -1}}}}", "RunBudget, usd: Input should be greater than or equal"),
        ("ops: {generated_instructions: {config: {seeds: 0}}}", "GenerationConfig, seeds: Input should be greater"),
    ],
)
@pytest.mark.parametrize("command", ["estimate", "demo"])
def test_a_value_out_of_its_bounds_is_named(command: str, config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config)
    result = teams(command, "--config", str(tmp_path / "config.yaml"))
    assert result.exit_code == 1
    assert message in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_run_says_first_what_all_of_it_is_estimated_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.cli.demo._materialise", lambda *_, **__: 0)
    result = demo()
    assert result.exit_code == 0, result.output
    total = next(line for line in teams("estimate").output.splitlines() if line.startswith("all "))
    assert result.output.startswith(f"the whole run: estimate: {total.split()[1]} queries (")


def test_an_estimate_checks_the_run_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("ops: {generated_instructions: {config: {sedes: 40}}}")
    result = teams("estimate", "--config", str(tmp_path / "config.yaml"))
    assert result.exit_code == 1
    assert 'unexpected config entry "sedes"' in result.output


def test_costs_are_shown_by_any_column_with_the_budget_and_the_baseline(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", "100")
    result = teams("costs", "--by", "asset_key,run_id")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert rows[0] == ["asset_key,", "run_id", *"asked reused attempts ok failed unresolved tokens cost".split()]
    assert rows[1:4] == [
        ["asset,", "run-1", "1", "0", "2", "0", "1", "1", "0", "$0.0000"],
        ["expert_responses,", "run-2", "3", "2", "1", "1", "0", "0", "15", "$0.0000"],
        ["trained_policy,", "run-1", "2", "0", "2", "2", "0", "0", "30", "$0.0000"],
    ]
    assert "total: 6 queries, 5 attempts, $0.0000" in result.output
    assert "budget: 4 of 100 queries may have been billed, 96 left" in result.output
    assert "6 queries asked in all: 0.00% of the 624,000 of Evol-Instruct" in result.output


def test_costs_are_those_of_the_rows_that_are_wanted(ledger: Ledger) -> None:
    result = teams("costs", "--by", "role", "--where", "asset_key=expert_responses", "--where", "operation=", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [(cost["group"], cost["asked"], cost["calls"]) for cost in found["costs"]] == [({"role": "expert"}, 3, 1)]
    assert found["total"]["asked"] == 6
    assert found["total"]["cost_nano_usd"] == 21
    assert found["spent"]["queries"] == ledger.spent().queries


def test_a_column_that_is_named_twice_is_shown_once(ledger: Ledger) -> None:
    result = teams("costs", "--by", "role,role")
    assert result.exit_code == 0, result.output
    assert result.output == teams("costs", "--by", "role").output


def test_costs_of_a_project_that_never_asked_are_none_and_make_no_ledger(tmp_path: Path) -> None:
    result = teams("costs")
    assert result.exit_code == 0, result.output
    assert "Nothing was asked." in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "colour"], "costs cannot be told apart by colour; choose from role, purpose"),
        (["--where", "colour=red"], "costs cannot be told apart by colour"),
        (["--where", "red"], "--where 'red' must be COLUMN=VALUE"),
        (["--where", "day="], "--where 'day=' names no day: write day=YYYY-MM-DD"),
        (["--where", "role=expert", "--where", "role=reviewer"], "--where role=... is given twice"),
        (["--by", "role,step"], "step tells kept pairs apart, which have partition_key, operation, step"),
        (["--where", "day=yesterday"], "'yesterday' is no day: write YYYY-MM-DD"),
    ],
)
def test_a_mistake_in_what_costs_are_asked_for_is_named(ledger: Ledger, arguments: list[str], message: str) -> None:
    result = teams("costs", *arguments)
    assert result.exit_code == 1
    assert message in result.output
