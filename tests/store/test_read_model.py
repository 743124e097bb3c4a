"""teams.duckdb follows its sources, can be deleted, and is never in anybody's way."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store import source
from teams_dagster.store.artefacts import ArtefactFiles
from teams_dagster.store.damage import ArtefactDamaged
from teams_dagster.store.read_model import RefreshReport, refresh
from teams_dagster.store.tables import TABLES, write_table
from tests.support import postgres
from tests.support.entries import ask, ask_in_vain, failure, intend, settle
from tests.support.ledger_rows import Row, insert, stories
from tests.support.properties import example_count


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "teams.duckdb"


def renew(model: Path, *artefacts: ArtefactFiles, wait_s: float = 10.0) -> RefreshReport:
    return refresh(sqlite_url(model.parent / "ledger.sqlite"), artefacts, model, wait_s=wait_s)


def read(model: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(model, read_only=True) as connection:
        return connection.execute(query).fetchall()


def everything(model: Path) -> dict[str, list[tuple[Any, ...]]]:
    tables = ["llm_calls", "llm_requests", "answers", *TABLES]
    costs = ["cost_by_asset", "cost_by_role", "cost_by_operation", "cost_by_model"]
    views = [*costs, "sample_lineage", "request_outcomes", "ledger_audit"]
    with duckdb.connect(model, read_only=True) as connection:
        found = {name: connection.execute(f"from {name}").fetchall() for name in (*tables, *views)}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def artefact(folder: Path, *, current: bool = True, **tables: list[dict[str, Any]]) -> ArtefactFiles:
    for table, rows in tables.items():
        write_table(folder, table, rows)
    (folder / "manifest.json").write_text("{}")
    return ArtefactFiles(folder, current)


def transition(name: str, parent: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "transition_id": name,
        "parent_transition_id": parent,
        "episode_id": "e-1",
        "seed_id": "s-1",
        "purpose": "generate",
        "step": 0,
        "operation": "breadth",
        "probability": 0.5,
        "policy": "trained",
        "policy_version": "p-1",
        "queries": 2,
        "parent_id": f"before {name}",
        "instruction_id": f"after {name}",
        "reward": 1.0,
        "accepted": True,
        **changes,
    }


def sample(name: str, transition_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "sample_id": name,
        "transition_id": transition_id,
        "episode_id": "e-1",
        "step": 1,
        "partition_key": "2026-11-16",
        "seed_id": "s-1",
        "instruction_id": f"after {transition_id}",
        "instruction": "Say hello.",
        "input": "",
        "accepted": True,
        **changes,
    }


def test_every_attempt_and_every_question_is_a_row(ledger: Ledger, model: Path) -> None:
    ask(ledger, "a", "b")
    ask(ledger, "a", run_id="run-2")
    ask_in_vain(ledger, "c")
    intend(ledger, "d")
    report = renew(model)
    assert report.published
    assert (report.rows["llm_calls"], report.rows["llm_requests"], report.rows["answers"]) == (4, 4, 2)
    columns = "status, outcome, error_kind, prompt_tokens, cost_nano_usd"
    calls = f"select {columns}, count(*) from llm_calls group by all order by all"
    assert read(model, calls) == [
        ("failed", None, "server", None, None, 1),
        ("ok", "usable", None, 10, 7, 2),
        ("unresolved", None, None, None, None, 1),
    ]
    requests = "select outcome, reused, run_id, count(*) from llm_requests group by all order by all"
    assert read(model, requests) == [
        ("failed", False, "run-1", 1),
        ("usable", False, "run-1", 2),
        ("usable", True, "run-2", 1),
    ]
    assert read(model, "select distinct text, usage.completion_tokens from answers") == [("an answer", 5)]
    assert read(model, "select asked, reused, calls, ok, failed, unresolved, cost_nano_usd from cost_by_asset") == [
        (4, 1, 4, 2, 1, 1, 14)
    ]


def test_an_answer_shows_what_was_thought_and_how_likely_each_reply_was(ledger: Ledger, model: Path) -> None:
    begun = intend(ledger, "constrained")
    settled = settle(begun)
    assert settled.result.completion is not None
    completion = replace(settled.result.completion, reasoning="hm", probabilities={"Not Equal": 0.75, "Equal": 0.25})
    asyncio.run(ledger.write(replace(settled, result=replace(settled.result, completion=completion))))
    renew(model)
    assert read(model, "select reasoning, probabilities::json->'Not Equal' from answers") == [("hm", "0.75")]
    stored = ledger.answers([begun.use.request_key]).get(begun.use.request_key)
    assert stored is not None
    assert stored.completion == completion


def test_the_columns_others_rely_on_are_there(ledger: Ledger, model: Path) -> None:
    renew(model)
    promised = {
        "llm_calls": "request_id request_key status outcome error_kind http_status role purpose operation provider "
        "model run_id asset_key partition_key prompt_tokens cached_tokens completion_tokens cost_nano_usd "
        "price_version latency_ms started_at finished_at",
        "llm_requests": "use_id request_key request_id reused outcome role operation run_id asset_key partition_key "
        "transition_id sample_id",
        "answers": "request_key text finish_reason usage",
        "instructions": "instruction_id text input",
        "transitions": "transition_id parent_transition_id episode_id seed_id purpose iteration partition_key step "
        "operation probability policy_version parent_id instruction_id rewrite_request_id review_request_id "
        "prompt_version pool_version verdict eliminated_by reward accepted sample_id reward_preset run_id",
        "samples": "sample_id transition_id episode_id step partition_key seed_id instruction_id response "
        "respond_request_id accepted reason",
        "dataset_samples": "dataset_version sample_id split",
        "models": "model_version kind dataset_version base_version path sha256 run_id",
        "policy_scores": "policy metric mean ci_low ci_high episodes queries training_seeds policy_version",
        "evaluation_scores": "model task metric value stderr n model_version dataset_version",
        "student_answers": "model model_version sample_id prompt_tokens response tokens finished",
        "win_rates": "model against questions pairs wins ties losses unclear win_rate ci_low ci_high "
        "length_controlled lc_low lc_high first_place_share mean_length mean_length_base run_id",
    }
    for table, columns in promised.items():
        assert set(columns.split()) <= {row[0] for row in read(model, f"describe {table}")}, table


def test_following_step_by_step_ends_where_making_it_anew_ends(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    first = artefact(
        tmp_path / "one",
        instructions=[{"instruction_id": "i", "text": "first", "input": ""}],
        transitions=[transition("t-1", None)],
        samples=[sample("x", "t-1")],
        policy_scores=[{"policy": "trained", "metric": "return", "mean": 0.1}],
    )
    ask(ledger, "a")
    ask_in_vain(ledger, "later")
    open_ = intend(ledger, "pending")
    lost = intend(ledger, "lost")
    assert renew(model, first).published
    assert read(model, "select count(*) from llm_calls where status = 'unresolved'") == [(2,)]

    async def resolve() -> None:
        await ledger.write(settle(open_))
        for entry in failure(lost):
            await ledger.write(entry)

    asyncio.run(resolve())
    ask(ledger, "a", "b", "later", run_id="run-2")
    ask(ledger, "later")
    second = artefact(
        tmp_path / "two",
        instructions=[
            {"instruction_id": "i", "text": "second", "input": ""},
            {"instruction_id": "j", "text": "j", "input": ""},
        ],
        transitions=[transition("t-1", None), transition("t-2", "t-1")],
        samples=[sample("y", "t-2")],
        policy_scores=[{"policy": "trained", "metric": "return", "mean": 0.2}],
    )
    given = (ArtefactFiles(first.folder, current=False), second)
    assert renew(model, *given).published
    followed = everything(model)
    model.unlink()
    assert renew(model, *given).published
    assert everything(model) == followed
    assert [row[:2] for row in followed["instructions"]] == [("i", "first"), ("j", "j")]
    assert [row[0] for row in followed["samples"]] == ["y"]
    assert [row[2] for row in followed["policy_scores"]] == [0.2]
    assert {row[3] for row in followed["llm_calls"]} == {"ok", "failed"}
    assert ("usable", 1) in read(
        model, "select outcome, count(*) from llm_requests where use_id = 'run-1 later' group by all"
    )


@st.composite
def histories(draw: st.DrawFn) -> list[list[Row]]:
    """Several questions going their ways at once: transactions in the order of their commits."""
    chosen = [draw(st.sampled_from(stories(f"q{number}"))) for number in range(draw(st.integers(1, 5)))]
    order = draw(st.permutations([number for number, story in enumerate(chosen) for _ in story]))
    remaining = [iter(story) for story in chosen]
    return [next(remaining[number]) for number in order]


@pytest.mark.slow
@settings(max_examples=example_count(10))
@given(history=histories(), data=st.data())
def test_however_often_it_is_refreshed_it_holds_the_same(history: list[list[Row]], data: st.DataObject) -> None:
    refreshed_after = data.draw(st.sets(st.integers(0, len(history) - 1), max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "teams.duckdb"
        for number, transaction in enumerate(history):
            insert(sqlite_url(model.parent / "ledger.sqlite"), transaction)
            if number in refreshed_after:
                assert renew(model).published
        renew(model)
        followed = everything(model)
        model.unlink()
        renew(model)
        assert everything(model) == followed
    assert all(violations == 0 for _, kind, violations in followed["ledger_audit"] if kind == "promise")


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_postgresql_and_sqlite_bring_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ROWS_AT_ONCE", 16)
    told = [story for number in range(100) for story in stories(f"q{number}")[number % 6]]
    parts = told[: len(told) // 3], told[len(told) // 3 :]
    found = {}
    with postgres.cluster() as address:
        for url in (sqlite_url(tmp_path / "ledger.sqlite"), address):
            model = tmp_path / f"{url[:6]}.duckdb"
            for part in parts:
                insert(url, [row for transaction in part for row in transaction])
                assert refresh(url, [], model).published
            found[url] = everything(model)
    on_sqlite, on_postgresql = found.values()
    assert len(on_sqlite["llm_calls"]) > 100
    assert on_sqlite == on_postgresql


def test_what_killed_refreshers_left_is_cleared_away(ledger: Ledger, model: Path) -> None:
    temp_dir = model.with_name(".teams.duckdb.draft.spill")
    temp_dir.mkdir()
    (temp_dir / "duckdb_temp_storage-0.tmp").write_bytes(b"half")
    model.with_name(".teams.duckdb.draft").write_bytes(b"half")
    assert renew(model).published
    assert sorted(path.name for path in model.parent.glob(".teams.duckdb.*")) == [".teams.duckdb.lock"]


@pytest.mark.parametrize("copied", [0, 1_000])
def test_what_the_kernel_does_not_copy_is_copied_all_the_same(
    ledger: Ledger, model: Path, copied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(source: int, target: int, count: int) -> int:
        os.write(target, os.read(source, copied))
        monkeypatch.setattr(os, "copy_file_range", unsupported)
        return copied

    def unsupported(*_: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "not here")

    ask(ledger, "a")
    renew(model)
    monkeypatch.setattr(os, "copy_file_range", copy)
    ask(ledger, "b")
    assert renew(model).published
    assert read(model, "select count(*) from llm_calls") == [(2,)]


def test_nothing_new_is_nothing_done(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    one = artefact(tmp_path / "one", samples=[sample("x", "t-1")])
    renew(model, one)
    before = model.stat().st_ino
    assert renew(model, one).reason == "up to date"
    assert model.stat().st_ino == before


def test_an_artefact_without_its_manifest_is_not_read(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    half = artefact(tmp_path / "half", samples=[sample("x", "t-1")])
    (half.folder / "manifest.json").unlink()
    assert renew(model, half).rows["samples"] == 0


def test_a_transition_that_was_made_again_is_as_it_was_made_last(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    first = artefact(tmp_path / "first", current=False, transitions=[transition("t", None, accepted=False)])
    again = artefact(tmp_path / "again", transitions=[transition("t", None, accepted=True)])
    renew(model, first)
    renew(model, first, again)
    assert read(model, "select accepted from transitions") == [(True,)]
    model.unlink()
    renew(model, first, again)
    assert read(model, "select accepted from transitions") == [(True,)]


def test_a_sample_is_followed_to_its_seed_by_transition_ids(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    ask(ledger, "rewrite", "respond")
    with ledger.engine.connect() as connection:
        rewrite, respond = (row[0] for row in connection.exec_driver_sql("select request_id from results order by seq"))
    texts = [f"{side} t-{n}" for side in ("before", "after") for n in (1, 2, 3)]
    given = artefact(
        tmp_path / "one",
        instructions=[{"instruction_id": text, "text": text.upper(), "input": ""} for text in texts],
        transitions=[
            transition("t-1", None, operation="deepening", probability=0.25),
            transition("t-2", "t-1", rewrite_request_id=rewrite),
            transition("t-3", "t-1", review_request_id="not on the ledger"),
        ],
        samples=[sample("x", "t-2", respond_request_id=respond), sample("y", "t-3"), sample("z", "t-1")],
    )
    renew(model, given)
    lineage = (
        "select sample_id, hop, transition_id, operation, probability, text_before, text_after, respond_request_id, "
        "cost_nano_usd from sample_lineage order by sample_id, hop"
    )
    assert read(model, lineage) == [
        ("x", 1, "t-1", "deepening", 0.25, "BEFORE T-1", "AFTER T-1", None, 0),
        ("x", 2, "t-2", "breadth", 0.5, "BEFORE T-2", "AFTER T-2", respond, 14),
        ("y", 1, "t-1", "deepening", 0.25, "BEFORE T-1", "AFTER T-1", None, 0),
        ("y", 2, "t-3", "breadth", 0.5, "BEFORE T-3", "AFTER T-3", None, None),
        ("z", 1, "t-1", "deepening", 0.25, "BEFORE T-1", "AFTER T-1", None, 0),
    ]


def test_a_reader_keeps_what_it_opened_and_does_not_stop_a_refresh(ledger: Ledger, model: Path) -> None:
    ask(ledger, "a")
    renew(model)
    with holding(model, read_only=True) as other:
        ask(ledger, "b")
        assert renew(model).published
        assert other.communicate("select count(*) from llm_calls\n", timeout=20)[0].strip().endswith("[(1,)]")
    assert read(model, "select count(*) from llm_calls") == [(2,)]


def test_readers_and_writers_in_this_process_lose_nothing_either(ledger: Ledger, model: Path) -> None:
    ask(ledger, "a")
    renew(model)
    counted = "select count(*), count(distinct request_id) from llm_calls"
    with duckdb.connect(model, read_only=True) as reader:
        for text in "bcd":
            ask(ledger, text)
            assert renew(model).published
        assert renew(model).reason == "up to date"
        assert reader.execute(counted).fetchall() == [(1, 1)]
    with duckdb.connect(model) as writer:
        writer.execute("create table notes as select 1")
        ask(ledger, "e")
        assert not renew(model).published
    assert renew(model).published
    assert read(model, counted) == [(5, 5)]
    assert read(model, "select count(*) from notes") == [(1,)]


@pytest.mark.slow
def test_a_writer_elsewhere_stops_a_refresh_and_loses_no_row(ledger: Ledger, model: Path) -> None:
    ask(ledger, "a")
    renew(model)
    with holding(model, read_only=False) as other:
        ask(ledger, "b")
        report = renew(model)
        assert not report.published
        assert "open elsewhere" in report.reason
        other.communicate("create table notes as select 1\n", timeout=20)
    assert renew(model).published
    assert read(model, "select count(*) from llm_calls") == [(2,)]
    assert read(model, "select count(*) from notes") == [(1,)]


def test_a_killed_writers_work_is_kept(ledger: Ledger, model: Path) -> None:
    renew(model)
    with holding(model, read_only=False) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("create table notes as select 1\n")
        other.stdin.flush()
        other.stdout.readline()
        wal = model.with_name("teams.duckdb.wal")
        assert wal.exists()
        ask(ledger, "a")
        assert not renew(model).published
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert wal.exists()
    assert renew(model).published
    assert read(model, "select count(*) from notes, llm_calls") == [(1,)]


def test_another_ledger_at_the_same_place_makes_the_file_anew(model: Path) -> None:
    url = sqlite_url(model.parent / "ledger.sqlite")
    for texts in ("abc", "d"):
        for file in model.parent.glob("ledger.sqlite*"):
            file.unlink()
        with Ledger(url) as ledger:
            ask(ledger, *texts)
        assert renew(model).rows["llm_calls"] == len(texts)


def test_a_ledger_that_was_restored_from_a_copy_makes_the_file_anew(model: Path) -> None:
    file = model.parent / "ledger.sqlite"
    with Ledger(sqlite_url(file)) as ledger:
        ask(ledger, "a")
    copy = file.read_bytes()
    with Ledger(sqlite_url(file)) as ledger:
        ask(ledger, "b", "c")
    assert renew(model).rows["llm_calls"] == 3
    for left in model.parent.glob("ledger.sqlite*"):
        left.unlink()
    file.write_bytes(copy)
    with Ledger(sqlite_url(file)) as ledger:
        ask(ledger, "d")
    assert renew(model).rows["llm_calls"] == 2
    assert read(model, "select sum(violations) from ledger_audit where kind = 'promise'") == [(0,)]


def test_an_artefact_that_was_removed_is_gone_from_the_file(ledger: Ledger, model: Path, tmp_path: Path) -> None:
    one = artefact(tmp_path / "one", transitions=[transition("1", None)])
    two = artefact(tmp_path / "two", transitions=[transition("2", None)])
    assert renew(model, one, two).rows["transitions"] == 2
    assert renew(model, two).rows["transitions"] == 1


def test_an_output_that_was_cut_off_is_named_with_what_puts_it_back(
    ledger: Ledger, model: Path, tmp_path: Path
) -> None:
    one = artefact(tmp_path / "one", transitions=[transition("1", None)])
    table = one.folder / "transitions.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    with pytest.raises(ArtefactDamaged, match=r"transitions.parquet is damaged.*`teams restore BACKUP` puts it back"):
        renew(model, one)


@pytest.mark.parametrize("content", ["", "my notes " * 1_000])
def test_a_file_that_is_no_duckdb_is_moved_aside_and_made_again(
    ledger: Ledger, model: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask(ledger, "a question")
    model.write_text(content)
    assert renew(model).published
    assert read(model, "select count(*) from llm_requests") == [(1,)]
    (kept,) = model.parent.glob(f"{model.name}.unreadable-*")
    assert kept.read_text() == content
    (line,) = caplog.messages
    assert str(model) in line
    assert kept.name in line


def test_a_database_that_lost_its_end_is_made_again(ledger: Ledger, model: Path) -> None:
    ask(ledger, "a question")
    renew(model)
    os.truncate(model, model.stat().st_size // 2)
    assert renew(model).published
    assert read(model, "select count(*) from llm_requests") == [(1,)]


HEADERS, BLOCK = 3 * 4_096, 256 * 1024
"""How DuckDB divides a file."""


@pytest.mark.slow
def test_a_database_with_a_damaged_block_is_made_again_where_it_would_be_added_to(ledger: Ledger, model: Path) -> None:
    ask(ledger, *[str(number) for number in range(50)])
    renew(model)
    sound = model.read_bytes()
    kept = 0
    for at in range(HEADERS, len(sound), BLOCK):
        model.write_bytes(sound[:at] + os.urandom(4_096) + sound[at + 4_096 :])
        ask(ledger, f"one more, {at}")
        renew(model)
        count = read(model, "select count(*) from llm_requests, read_model_state")[0][0]
        assert count == read(model, "select count(*) from llm_calls")[0][0] > 50
        kept += len(list(model.parent.glob(f"{model.name}.unreadable-*")))
    assert kept


def test_refreshers_take_turns(ledger: Ledger, model: Path) -> None:
    ask(ledger, *[str(i) for i in range(50)])
    reports: list[RefreshReport] = []
    threads = [threading.Thread(target=lambda: reports.append(renew(model))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.reason for report in reports) == ["published"] + ["up to date"] * 3
    assert read(model, "select count(*), count(distinct request_id) from llm_calls") == [(50, 50)]


@pytest.mark.slow
def test_a_refresh_killed_at_any_point_leaves_a_whole_file(ledger: Ledger, model: Path) -> None:
    ask(ledger, *[str(i) for i in range(300)])
    script = (
        "import sys; from pathlib import Path; from teams_dagster.store.read_model import refresh\n"
        "print('ready', flush=True)\n"
        "print(refresh(sys.argv[1], [], Path(sys.argv[2])).reason, flush=True)"
    )
    url = sqlite_url(model.parent / "ledger.sqlite")
    survived = 0
    for wait_ms in (2, 10, 25, 40, 60, 90, 130, None):
        command = [sys.executable, "-c", script, url, str(model)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.readline()
        if wait_ms is None:
            assert process.stdout.readline() == "published\n"
        else:
            time.sleep(wait_ms / 1_000)
        process.kill()
        process.communicate()
        if model.exists():
            survived += 1
            assert read(model, "select count(*) from llm_calls") == [(300,)]
            model.unlink()
    assert survived >= 1
    assert renew(model).published
    assert sorted(path.name for path in model.parent.glob(".teams.duckdb.*")) == [".teams.duckdb.lock"]


ROOT = str(Path(__file__).resolve().parents[2])

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "True")
print("open", flush=True)
for line in sys.stdin:
    print(connection.execute(line).fetchall(), flush=True)
"""


def holding(model: Path, *, read_only: bool) -> subprocess.Popen[str]:
    """Another process that has the file open and executes what it is sent."""
    command = [sys.executable, "-c", HOLDER, str(model), str(read_only)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process
