"""What reaches a terminal: tables, log lines, every command's output and its errors. Nothing controls it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result
from hypothesis import given

from resources.console import console
from teams_dagster.cli import demo as demo_module
from teams_dagster.cli import main
from teams_dagster.cli.project import say
from teams_dagster.dataset.card import CARD as CARD_FILE
from teams_dagster.ledger.budgets import PROJECT
from teams_dagster.ledger.costs import Cost
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.schema import spending
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_lines
from teams_dagster.report.terminal import account_lines, cost_lines, table
from teams_dagster.store.artefact_store import ArtefactStore
from tests.lineage.explorer.example_store import hostile
from tests.support.datasets import CARD
from tests.support.hostile import TEXTS, controls, texts
from tests.support.ledger_rows import Asked, insert

EVERYTHING = " ".join(text for name, text in TEXTS.items() if name not in ("long", "invisible"))
"""Most of the corpus as one name; what no file name can hold is left out."""


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))


def teams(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def assert_inert(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert controls(result.output) == set()
    assert "Traceback" not in result.output


@given(texts)
def test_a_table_has_a_line_a_row(text: str) -> None:
    lines = table(("name", "count"), [(text, "1"), (text, "2")])
    assert len("\n".join(lines).split("\n")) == 3
    assert controls("".join(lines)) == set()


@given(texts)
def test_the_account_is_inert_by_any_column(text: str) -> None:
    lines = [*account_lines([Cost({"model": text})], ["model"]), *cost_lines([Cost({"role": text})])]
    assert len("\n".join(lines).split("\n")) == 4
    assert controls("".join(lines)) == set()


@given(texts)
def test_what_is_said_is_inert(text: str) -> None:
    @click.command()
    def speak() -> None:
        say(text)
        say(text, err=True)

    assert controls(CliRunner().invoke(speak).output) == set()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_log_line_quotes_a_providers_error_and_obeys_none_of_it(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of a run, the warnings and failures that quote a server's body among them."""
    logger = console(dg.build_init_logger_context(logger_config={}))
    logger.info("no answer after 3 attempt(s): server: %s", text)
    logger.warning(text)
    logger.error("", extra={"dagster_meta": {"orig_message": text, "step_key": "expert_responses"}})
    said = capsys.readouterr().out
    assert controls(said) == set()
    assert said.count("[WARNING]") == 1


@pytest.fixture
def spoilt_ledger(tmp_path: Path) -> Path:
    """The project's ledger, whose every name is hostile."""
    path = tmp_path / "data" / "ledger.sqlite"
    with Ledger(sqlite_url(path)):
        pass
    place = dict.fromkeys(("role", "purpose", "operation", "model", "run_id", "asset_key", "partition_key"), EVERYTHING)
    asked = Asked(EVERYTHING, {**place, "provider": EVERYTHING})
    counted = (spending, {"scope": PROJECT, "queries": 1, "tokens": 0, "nano_usd": 0})
    insert(sqlite_url(path), [*asked.intent(), *asked.answered(), counted])
    return path


@pytest.mark.usefixtures("spoilt_ledger")
@pytest.mark.parametrize("by", ["role", "model", "run_id,asset_key,partition_key", "operation,purpose,provider"])
def test_teams_costs_shows_hostile_names_and_obeys_none(by: str) -> None:
    result = teams("costs", "--by", by)
    assert result.exit_code == 0, result.output
    assert "[U+001B][2J" in result.output
    assert_inert(result)
    as_json = teams("costs", "--by", by, "--json")
    assert controls(as_json.output) <= {"\x7f"}
    assert json.loads(as_json.output)["costs"][0]["group"][by.split(",")[0]] == EVERYTHING


@pytest.mark.usefixtures("spoilt_ledger")
def test_a_condition_of_sql_is_a_value() -> None:
    assert teams("costs", "--where", "model=' or 1=1 --", "--json").exit_code == 0
    assert json.loads(teams("costs", "--where", "model=' or 1=1 --", "--json").output)["costs"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("costs", "--by", EVERYTHING),
        ("costs", "--where", EVERYTHING),
        ("costs", "--where", f"day={EVERYTHING}"),
        ("estimate", "--asset", EVERYTHING),
        ("estimate", "--partition", EVERYTHING),
        ("demo", "--partition", EVERYTHING),
        ("checks", "--select", EVERYTHING),
        ("export", "--to", "out", "--version", EVERYTHING),
        ("lineage", EVERYTHING),
        ("lineage", "--from", f"operation={EVERYTHING}"),
        ("lineage", "--from", EVERYTHING),
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
@pytest.mark.usefixtures("spoilt_ledger")
def test_an_error_quotes_what_was_given_and_obeys_none_of_it(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent.parent)
    monkeypatch.setattr("teams_dagster.cli.demo.start_forkserver", lambda: None)
    result = teams(*arguments)
    assert result.exit_code in (1, 2)
    assert_inert(result)


def test_an_error_about_a_hostile_configuration_is_inert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.cli.demo.start_forkserver", lambda: None)
    (tmp_path / "config.yaml").write_text(json.dumps({"ops": {EVERYTHING: {"config": {EVERYTHING: EVERYTHING}}}}))
    for command in ("estimate", "demo"):
        result = teams(command, "--config", str(tmp_path / "config.yaml"))
        assert result.exit_code == 1
        assert_inert(result)


def test_an_error_about_a_hostile_setting_is_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_EXPERT_PROVIDER", TEXTS["escapes"])
    monkeypatch.setenv("TEAMS_SEEDS", TEXTS["escapes"])
    for command in ("costs", "estimate", "demo", "checks", "lineage"):
        result = teams(command, *(["x"] if command == "lineage" else []))
        assert result.exit_code in (1, 2)
        assert_inert(result)


def test_teams_export_names_a_hostile_dataset_and_obeys_none_of_it(tmp_path: Path) -> None:
    about = {"inputs": {}, "config": {}, "run_id": "run", "code_version": "1", "made_at": "2026-01-05"}
    store = ArtefactStore(data_dir=str(tmp_path / "data"))
    with store.writing("instruction_dataset", "print", about=about) as draft:
        card = replace(CARD, dataset_version=EVERYTHING, name=EVERYTHING, models={EVERYTHING: (EVERYTHING,)})
        (draft.folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        (draft.folder / "files").mkdir()
        (draft.folder / "files" / "train.alpaca.json").write_text("[]")
        draft.finish(EVERYTHING, {})
    target = tmp_path / "out"
    result = teams("export", "--to", str(target), "--format", "alpaca", "--split", "train")
    assert result.exit_code == 0, result.output
    assert "[U+001B][2J" in result.output
    assert_inert(result)
    assert {path.name for path in target.iterdir()} == {"README.md", "croissant.json", "train.alpaca.json"}
    assert_inert(teams("export", "--to", str(target), "--version", "another"))


def test_the_tree_of_a_hostile_sample_is_inert_and_whole(tmp_path: Path) -> None:
    path = hostile().write(tmp_path / "teams.duckdb")
    with duckdb.connect(path, read_only=True) as connection:
        sample = connection.execute("select sample_id from samples where sample_id like 'rivers-2%'").fetchall()[0][0]
        lines = lineage_lines(trace(connection, sample), whole=True)

    @click.command()
    def tell() -> None:
        say("\n".join(lines))

    said = CliRunner().invoke(tell).output
    assert controls(said) == set()
    assert "[U+001B][31mred" in said


def failed_run(said: str) -> dg.ExecuteInProcessResult:
    """A run in which a step and a blocking check fail with `said`."""

    @dg.asset
    def asked() -> None: ...

    @dg.asset_check(asset=asked, blocking=True)
    def asked_is_kept() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description=said)

    @dg.asset
    def answered() -> None:
        raise dg.Failure(said)

    return dg.materialize([asked, asked_is_kept, answered], raise_on_error=False)


def test_a_demo_that_fails_says_why_and_obeys_no_provider() -> None:
    run = failed_run(TEXTS["escapes"])

    @click.command()
    def fail() -> None:
        demo_module._say_why(run, "teams ui")

    result = CliRunner().invoke(fail)
    assert_inert(result)
    assert "answered failed: " in result.output
    assert "check asked_is_kept stops the run: " in result.output
