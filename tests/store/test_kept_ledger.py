"""A ledger that lost what outputs rest on stops a project before its first query, and says what to do."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from teams_dagster.ledger.database import LedgerError, LedgerLost, sqlite_url
from teams_dagster.store import kept_ledger
from teams_dagster.store.kept_ledger import require_kept_ledger
from teams_dagster.store.lost_outputs import lost_outputs
from tests.support.project import Project
from tests.support.stores import seeded_store

WEEK = "2026-11-02"
HISTORY = ("questions", "attempts", "results", "answers", "uses")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an answered generation, its chain sealed."""
    data = Path(shutil.copytree(seeded_store(tmp_path_factory), tmp_path_factory.mktemp("made"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("TEAMS_DATA_DIR", str(data))
        project = Project(data, publishes=True)
        assert project.make(
            generated_instructions, week=WEEK, generated_instructions={"seeds": 12, "policy": "uniform"}
        )
        assert project.make(expert_responses, week=WEEK)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    return Path(shutil.copytree(made, tmp_path / "data"))


def execute(data: Path, *statements: str) -> None:
    with sqlite3.connect(data / "ledger.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def attempts(data: Path) -> int:
    with sqlite3.connect(data / "ledger.sqlite") as connection:
        [(count,)] = connection.execute("select count(*) from attempts").fetchall()
    connection.close()
    return count


def older(data: Path, *files: str) -> None:
    """As a version left it that did not know these files."""
    for name in files:
        (data / "assets" / name).unlink(missing_ok=True)


def goes_on(data: Path) -> bool:
    """Whether a run that asks is not stopped."""
    project = Project(data, publishes=True)
    return project.make(generated_instructions, week=WEEK, generated_instructions={"force": True})


def stopped(data: Path) -> str:
    """What a run that would ask says, having asked nothing."""
    before = attempts(data) if (data / "ledger.sqlite").exists() else None
    project = Project(data, publishes=True)
    assert not project.make(generated_instructions, week=WEEK, generated_instructions={"force": True})
    [failure] = project.last.get_step_failure_events()
    assert (attempts(data) if (data / "ledger.sqlite").exists() else None) == before
    return failure.step_failure_data.error_display_string


@pytest.mark.slow
def test_a_store_as_it_was_made_goes_on(data: Path):
    assert goes_on(data)


@pytest.mark.slow
def test_outputs_that_were_deleted_are_told_and_made_again_from_the_ledger(data: Path):
    before, (generated, answered) = attempts(data), ("generated_instructions", "expert_responses")
    for asset in (generated, answered):
        shutil.rmtree(data / "assets" / asset)
    url = sqlite_url(data / "ledger.sqlite")
    engine = sa.create_engine(url)
    assert lost_outputs(engine, url, data) == [f"{generated} {WEEK}", f"{answered} {WEEK}"]
    project = Project(data, publishes=True)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 12, "policy": "uniform"})
    assert project.make(expert_responses, week=WEEK)
    assert attempts(data) == before
    assert lost_outputs(engine, url, data) == []
    engine.dispose()


@pytest.mark.parametrize("table", HISTORY)
def test_rows_that_were_deleted_stop_a_run(data: Path, table: str):
    execute(data, f"delete from {table} where seq > 10")
    said = stopped(data)
    assert f"has lost rows: its table {table} has 10 of at least" in said
    assert "teams restore" in said


def test_rows_that_were_deleted_with_the_chain_stop_a_run(data: Path):
    execute(data, *(f"delete from {table}" for table in (*HISTORY, "seals")))
    assert "lacks the end of its chain" in stopped(data)


def test_what_budgets_count_stops_a_run_where_it_was_deleted(data: Path):
    execute(data, "delete from spending")
    assert "its table spending lacks what the project's budgets count" in stopped(data)


def test_the_last_link_of_the_chain_stops_a_run_where_it_was_deleted(data: Path):
    execute(data, "delete from seals where seq = (select max(seq) from seals)")
    assert "it lacks the end of its chain" in stopped(data)


def test_another_ledger_in_the_place_of_the_one_that_was_there_stops_a_run(data: Path):
    execute(data, "update ledger_identity set ledger_id = 'another'")
    assert "is another one than that of the outputs" in stopped(data)


def overwrite(data: Path, begins: float, content: bytes) -> None:
    """Put `content` in the place of all of the ledger from a share of it on."""
    with sqlite3.connect(data / "ledger.sqlite") as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    whole = (data / "ledger.sqlite").read_bytes()
    (data / "ledger.sqlite").write_bytes(whole[: int(len(whole) * begins)] + content)


DAMAGED = {
    "text": lambda data: overwrite(data, 0, b"my notes\n" * 1_000),
    "cut off": lambda data: overwrite(data, 0.5, b""),
    "overwritten": lambda data: overwrite(data, 0.5, b"\xff" * 500_000),
    "a table is gone": lambda data: execute(data, "drop table answers"),
    "nobody's": lambda data: execute(data, "delete from ledger_identity"),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_ledger_that_cannot_be_read_is_named_with_the_settings_and_the_restore(
    data: Path, damage: Callable[[Path], None]
):
    damage(data)
    with pytest.raises(LedgerError, match=r"\A.*ledger\.sqlite.*TEAMS_LEDGER_URL.*TEAMS_DATA_DIR.*teams restore"):
        require_kept_ledger(sqlite_url(data / "ledger.sqlite"), data)


def test_a_store_of_before_the_chain_tells_deleted_rows_by_what_its_outputs_rest_on(data: Path):
    older(data, ".store-id", ".chain-head")
    execute(data, *(f"delete from {table}" for table in (*HISTORY, "seals")))
    assert "lacks attempts that the outputs rest on" in stopped(data)


def test_a_store_of_before_the_chain_tells_a_ledger_that_is_gone(data: Path):
    older(data, ".store-id", ".chain-head")
    (data / "ledger.sqlite").unlink()
    assert "is gone or empty" in stopped(data)
    assert not (data / "ledger.sqlite").exists()


def test_a_store_of_before_the_chain_goes_on_where_its_ledger_is_whole(data: Path):
    older(data, ".store-id", ".chain-head")
    assert goes_on(data)


def test_who_has_but_an_older_copy_goes_on_from_it_by_removing_the_head(data: Path):
    execute(data, *(f"delete from {table}" for table in (*HISTORY, "seals")))
    older(data, ".chain-head")
    assert goes_on(data)


def test_the_first_line_names_the_ledger_and_the_settings(data: Path):
    execute(data, "delete from answers")
    line = next(line for line in stopped(data).splitlines() if "LedgerLost" in line)
    assert "has lost rows" in line
    assert str(data / "ledger.sqlite") in line
    assert "TEAMS_LEDGER_URL" in line
    assert "TEAMS_DATA_DIR" in line


def look(data: Path) -> list[str]:
    """What a process asks of the ledger to know that it is whole."""
    said: list[str] = []

    def hear(*arguments: object) -> None:
        said.append(str(arguments[2]))

    event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        require_kept_ledger(sqlite_url(data / "ledger.sqlite"), data)
    finally:
        event.remove(sa.Engine, "before_cursor_execute", hear)
    return said


def test_rows_are_counted_once_in_a_while(data: Path):
    assert [sum("count(*)" in said for said in look(data)) for _ in range(2)] == [len(HISTORY), 0]


def test_rows_deleted_at_the_end_are_told_at_once(data: Path):
    look(data)
    execute(data, "delete from answers where seq > 10")
    with pytest.raises(LedgerLost, match="its table answers has 10 of at least"):
        look(data)


def test_rows_deleted_in_between_are_told_when_rows_are_counted_again(data: Path, monkeypatch: pytest.MonkeyPatch):
    look(data)
    execute(data, "delete from answers where seq between 3 and 5")
    monkeypatch.setattr(kept_ledger, "COUNTED_FOR_S", 0.0)
    with pytest.raises(LedgerLost, match="its table answers has"):
        look(data)
