"""What SQL users read: outcomes that add up, an audit that notices, and the lineage of one sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from teams_dagster.core.protocol import ErrorKind, Outcome
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.store.read_model import ArtefactFiles, refresh
from teams_dagster.store.tables import write_table
from tests.support.ledger_rows import Asked, Row, insert


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "teams.duckdb"


def follow(model: Path, rows: list[Row], *artefacts: ArtefactFiles) -> None:
    url = sqlite_url(model.parent / "ledger.sqlite")
    insert(url, rows)
    assert refresh(url, artefacts, model).published


def read(model: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(model, read_only=True) as connection:
        return connection.execute(query).fetchall()


def records(model: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(model, read_only=True) as connection:
        return connection.sql(query).to_arrow_table().to_pylist()


def change(model: Path, statement: str) -> None:
    with duckdb.connect(model) as connection:
        connection.execute(statement)


def answered(name: str, outcome: str = "usable", **place: Any) -> list[Row]:
    asked = Asked(name, place)
    return [*asked.intent(), *asked.answered(outcome)]


def unanswered(name: str, kind: str, **place: Any) -> list[Row]:
    asked = Asked(name, place)
    return [*asked.intent(), *asked.failed(kind), *asked.given_up(kind)]


def small_ledger() -> list[Row]:
    retried, lost = Asked("retried"), Asked("lost")
    return [
        *answered("a"),
        *answered("b", role="reviewer", purpose="review", partition_key="2026-11-16"),
        *answered("c", "refusal"),
        *Asked("a").reused(),
        *unanswered("d", "timeout"),
        *retried.intent(),
        *retried.failed("server"),
        *retried.intent(2),
        *retried.answered(attempt=2),
        *lost.intent(),
    ]


def test_what_was_asked_is_what_was_kept_and_each_named_cause(model: Path) -> None:
    everything = [
        *(row for outcome in Outcome for row in answered(f"outcome {outcome}", outcome)),
        *(row for kind in ErrorKind for row in unanswered(f"kind {kind}", kind)),
    ]
    follow(model, everything)
    (outcomes,) = records(model, "from request_outcomes")
    causes = [outcome.value for outcome in Outcome if outcome is not Outcome.USABLE] + [
        kind.value for kind in ErrorKind
    ]
    assert outcomes == {
        "asset_key": "asset",
        "partition_key": None,
        "run_id": "run-1",
        "role": "expert",
        "purpose": "respond",
        "asked": len(causes) + 1,
        "kept": 1,
        **dict.fromkeys(causes, 1),
        "unexplained": 0,
    }


def test_outcomes_are_told_apart_by_asset_partition_run_role_and_purpose(model: Path) -> None:
    follow(model, small_ledger())
    columns = "run_id, role, purpose, partition_key, asked, kept, refusal, timeout, server, unexplained"
    assert read(model, f"select {columns} from request_outcomes order by all") == [
        ("run-1", "expert", "respond", None, 4, 2, 1, 1, 0, 0),
        ("run-1", "reviewer", "review", "2026-11-16", 1, 1, 0, 0, 0, 0),
        ("run-2", "expert", "respond", None, 1, 1, 0, 0, 0, 0),
    ]


def test_a_cause_without_a_name_is_unexplained(model: Path) -> None:
    follow(model, [*answered("a"), *unanswered("b", "gremlins")])
    assert read(model, "select asked, kept, unexplained from request_outcomes") == [(2, 1, 1)]


def test_an_honest_ledger_keeps_every_promise(model: Path) -> None:
    follow(model, small_ledger())
    violations = "select name, violations from ledger_audit where violations <> 0"
    assert read(model, violations) == [("a call has a result", 1)]
    assert read(model, "select kind, count(*) from ledger_audit group by all order by all") == [
        ("notice", 3),
        ("promise", 15),
    ]


def test_an_empty_ledger_keeps_every_promise(model: Path) -> None:
    follow(model, [])
    assert read(model, "select distinct violations from ledger_audit") == [(0,)]
    assert read(model, "from request_outcomes") == []


A_CALL, A_QUESTION = "where request_id = 'call a 1'", "where use_id = 'run-1 a'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "statement"),
    [
        ("every call is one row", "insert into llm_calls from llm_calls where request_id = 'call lost 1'"),
        (
            "no query is paid for twice",
            f"insert into llm_calls select * replace ('again' as request_id) from llm_calls {A_CALL}",
        ),
        ("a billed call has an outcome", f"update llm_calls set outcome = 'odd' {A_CALL}"),
        ("a failed call has a cause", "update llm_calls set error_kind = null where request_id = 'call d 1'"),
        (
            "a call that was not answered has no tokens and no cost",
            "update llm_calls set cost_nano_usd = 1 where request_id = 'call d 1'",
        ),
        ("a query that was paid for has an answer", "delete from answers where request_key = 'key a'"),
        ("a query that was paid for was asked", "delete from llm_requests where request_key = 'key a'"),
        (
            "an answer is that of a billed call for the same query",
            "update answers set request_id = 'call b 1' where request_key = 'key a'",
        ),
        ("an answer has the outcome of its call", "update answers set outcome = 'empty' where request_key = 'key a'"),
        (
            "an answer has the tokens of its call",
            "update answers set usage = struct_update(usage, reasoning_tokens := 9) where request_key = 'key a'",
        ),
        ("every query is counted once", f"insert into llm_requests from llm_requests {A_QUESTION}"),
        ("a query is answered or failed", f"update llm_requests set request_id = null {A_QUESTION}"),
        ("asked = kept + named causes", "update llm_requests set error_kind = 'odd' where outcome = 'failed'"),
        (
            "an answered query names a billed call for it",
            f"update llm_requests set request_id = 'call b 1' {A_QUESTION}",
        ),
        (
            "a query has the outcome of the call that answered it",
            f"update llm_requests set outcome = 'empty' {A_QUESTION}",
        ),
        ("a call costs at most what was reserved for it", f"update llm_calls set reserved_tokens = 14 {A_CALL}"),
        ("a call costs at most what was reserved for it", f"update llm_calls set reserved_nano_usd = 6 {A_CALL}"),
        ("a billed call has a known price", f"update llm_calls set cost_nano_usd = null {A_CALL}"),
    ],
)
def test_the_audit_notices(model: Path, broken: str, statement: str) -> None:
    follow(model, small_ledger())
    violation = f"select violations from ledger_audit where name = '{broken}'"
    assert read(model, violation) == [(0,)]
    change(model, statement)
    assert read(model, violation) == [(1,)]


def test_reservations_batches_and_hidden_tokens_are_on_each_call(model: Path) -> None:
    rows = answered("a")
    rows = [(table, {**values, "batch_id": "b-1"} if table.name == "attempts" else values) for table, values in rows]
    follow(model, rows)
    columns = "reserved_tokens, reserved_nano_usd, batch_id, reasoning_tokens, base_url, replica"
    assert read(model, f"select {columns} from llm_calls") == [(100, 50, "b-1", 1, "https://host/v1", 3)]
    assert read(model, "select usage.reasoning_tokens from answers") == [(1,)]
    assert read(model, "select reasoning_tokens from cost_by_role") == [(1,)]


def test_the_lineage_of_one_sample_is_its_rows_of_the_lineage_of_all(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    texts = [f"text {number}" for number in range(5)]
    write_table(folder, "instructions", [{"instruction_id": t, "text": t.upper(), "input": ""} for t in texts])
    write_table(folder, "transitions", [transition(n, n - 1 if n % 2 else None) for n in range(1, 5)])
    write_table(folder, "samples", [sample(f"s-{n}", n) for n in range(1, 5)])
    (folder / "manifest.json").write_text("{}")
    follow(model, small_ledger(), ArtefactFiles(folder, current=True))
    samples = [name for (name,) in read(model, "select distinct sample_id from sample_lineage order by all")]
    assert len(samples) == 4
    for name in samples:
        of_all = read(model, f"from sample_lineage where sample_id = '{name}' order by hop")
        assert read(model, f"from lineage_of('{name}') order by hop") == of_all
        assert of_all
    assert read(model, "from lineage_of('nobody')") == []
    described = [read(model, f"describe from {source}") for source in ("sample_lineage", "lineage_of('s-1')")]
    assert described[0] == described[1]


@pytest.mark.parametrize("taken", ["call a 1", None])
def test_a_samples_cost_holds_further_answers_whichever_of_them_failed(
    model: Path, tmp_path: Path, taken: str | None
) -> None:
    """Answer 0 is the sample's own; the other one is the one that the sample did not take."""
    folder, texts = tmp_path / "one", [{"instruction_id": f"text {n}", "text": "T", "input": ""} for n in range(2)]
    given = {"sample_id": "s-1", "partition_key": "2026-11-16", "accepted": True}
    other = None if taken else "call c 1"
    write_table(folder, "instructions", texts)
    write_table(folder, "transitions", [transition(1, None)])
    write_table(folder, "samples", [sample("s-1", 1) | {"respond_request_id": taken}])
    write_table(
        folder,
        "sample_answers",
        [given | {"answer": n, "respond_request_id": asked} for n, asked in enumerate((taken, other))],
    )
    (folder / "manifest.json").write_text("{}")
    follow(model, small_ledger(), ArtefactFiles(folder, current=True))
    assert read(model, "select cost_nano_usd from sample_lineage") == [(3 * 7,)], "rewrite, review and one answer"


def transition(number: int, parent: int | None) -> dict[str, Any]:
    return {
        "transition_id": f"t-{number}",
        "parent_transition_id": None if parent is None else f"t-{parent}",
        "episode_id": "e",
        "seed_id": "s",
        "purpose": "generate",
        "step": number,
        "operation": "breadth",
        "probability": 0.5,
        "policy": "trained",
        "policy_version": "p",
        "queries": 2,
        "parent_id": f"text {number - 1}",
        "instruction_id": f"text {number}",
        "rewrite_request_id": "call b 1",
        "review_request_id": None if number == 2 else "call c 1",
        "reward": 1.0,
        "accepted": True,
    }


def sample(name: str, number: int) -> dict[str, Any]:
    return {
        "sample_id": name,
        "transition_id": f"t-{number}",
        "episode_id": "e",
        "step": number,
        "partition_key": "2026-11-16",
        "seed_id": "s",
        "instruction_id": f"text {number}",
        "instruction": "TEXT",
        "input": "",
        "accepted": True,
        "respond_request_id": "call a 1",
    }
