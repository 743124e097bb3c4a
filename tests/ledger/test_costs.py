"""What was asked and what it cost, from the ledger database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from teams_dagster.core.protocol import ErrorKind, Outcome
from teams_dagster.ledger.costs import (
    Cost,
    Questions,
    costs_by,
    costs_together,
    outcomes_by,
    outcomes_of_step,
    total_cost,
)
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.entries import Unanswered
from teams_dagster.ledger.writer import Ledger
from tests.support import postgres
from tests.support.entries import ask, ask_in_vain, begin, intend, settle
from tests.support.ledger_rows import Asked, Row, insert, stories


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def answer(ledger: Ledger, text: str, outcome: Outcome) -> None:
    """Ask about `text` and get an answer of this outcome."""
    begun = begin(text)
    settled = settle(begun)
    completion = settled.result.completion
    assert completion is not None

    async def steps() -> None:
        await ledger.write(begun)
        await ledger.write(
            replace(settled, result=replace(settled.result, completion=replace(completion, outcome=outcome)))
        )

    asyncio.run(steps())


def test_costs_are_told_apart_by_any_column(ledger: Ledger) -> None:
    assert total_cost(ledger) == Cost({})
    ask(ledger, "a", "b", asset="trained_policy")
    ask(ledger, "a", "b", "c", run_id="run-2", asset="expert_responses")
    ask_in_vain(ledger, "d")
    ask(ledger, "d")
    intend(ledger, "e")
    assert costs_by(ledger, ["asset_key"]) == [
        Cost({"asset_key": "asset"}, 1, 0, 3, 1, 1, 1, 10, 2, 5, 7),
        Cost({"asset_key": "expert_responses"}, 3, 2, 1, 1, 0, 0, 10, 2, 5, 7),
        Cost({"asset_key": "trained_policy"}, 2, 0, 2, 2, 0, 0, 20, 4, 10, 14),
    ]
    assert costs_by(ledger, ["operation", "run_id"])[0].group == {"operation": None, "run_id": "run-1"}
    whole = total_cost(ledger)
    assert (whole.asked, whole.reused, whole.calls, whole.cost_nano_usd) == (6, 2, 6, 28)


@pytest.mark.parametrize("columns", [(), ("asset_key",), ("operation", "run_id")])
def test_costs_told_apart_by_more_columns_add_up_to_those_of_fewer(ledger: Ledger, columns: tuple[str, ...]) -> None:
    ask(ledger, "a", "b", asset="trained_policy")
    ask(ledger, "a", "b", "c", run_id="run-2", asset="expert_responses")
    ask_in_vain(ledger, "d")
    intend(ledger, "e")
    apart = costs_by(ledger, ["asset_key", "operation", "purpose", "run_id"])
    assert costs_together(apart, columns) == costs_by(ledger, columns)


def test_costs_are_those_of_the_rows_that_are_wanted(ledger: Ledger) -> None:
    ask(ledger, "a", "b", asset="trained_policy")
    ask(ledger, "a", "c", run_id="run-2", asset="expert_responses")
    assert total_cost(ledger, {"run_id": "run-2"}) == Cost({}, 2, 1, 1, 1, 0, 0, 10, 2, 5, 7)
    assert total_cost(ledger, {"run_id": "run-2", "asset_key": "trained_policy"}) == Cost({})
    assert total_cost(ledger, {"operation": None}) == total_cost(ledger)
    assert costs_by(ledger, ["run_id"], {"asset_key": "trained_policy"})[0].group == {"run_id": "run-1"}


def test_costs_are_told_apart_by_the_day_they_were_made(ledger: Ledger) -> None:
    ask(ledger, "a", "b")
    assert [(cost.group, cost.asked, cost.calls) for cost in costs_by(ledger, ["day"])] == [
        ({"day": "1970-01-01"}, 2, 2)
    ]
    assert total_cost(ledger, {"day": "1970-01-01"}).calls == 2
    assert total_cost(ledger, {"day": "1970-01-02"}) == Cost({})
    with pytest.raises(ValueError, match="'yesterday' is no day: write YYYY-MM-DD"):
        total_cost(ledger, {"day": "yesterday"})


@pytest.mark.parametrize("read", [costs_by, outcomes_by])
def test_a_column_that_does_not_exist_is_refused(ledger: Ledger, read) -> None:
    with pytest.raises(ValueError, match="colour; choose from role, purpose"):
        read(ledger, ["colour"])
    with pytest.raises(ValueError, match="colour"):
        read(ledger, ["role"], {"colour": "red"})


@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_the_account_is_the_same_on_postgresql(ledger: Ledger) -> None:
    with postgres.cluster() as url, Ledger(url) as shared:
        for each in (ledger, shared):
            ask(each, "a", "b")
            ask_in_vain(each, "c")
        assert costs_by(shared, ["day", "purpose"]) == costs_by(ledger, ["day", "purpose"]) != []
        where = {"day": "1970-01-01"}
        assert costs_by(shared, ["day", "purpose"], where) == costs_by(ledger, ["day", "purpose"], where) != []
        assert outcomes_by(shared, ["day"], where) == outcomes_by(ledger, ["day"], where) != []


def test_every_question_asked_is_kept_or_has_a_named_cause(ledger: Ledger) -> None:
    ask(ledger, "a", "b", "c")
    ask(ledger, "a", run_id="run-2")
    for outcome in (Outcome.EMPTY, Outcome.REFUSAL, Outcome.TRUNCATED, Outcome.MALFORMED):
        answer(ledger, f"for {outcome}", outcome)
    ask_in_vain(ledger, "d")
    asyncio.run(ledger.write(Unanswered(begin("e").use, ErrorKind.TIMEOUT.value)))
    [found] = outcomes_by(ledger, [])
    causes = {"empty": 1, "failed: server": 1, "failed: timeout": 1, "malformed": 1, "refusal": 1, "truncated": 1}
    assert found == Questions({}, kept=4, causes=causes)
    assert found.asked == total_cost(ledger).asked == 10
    assert [(q.group["run_id"], q.kept) for q in outcomes_by(ledger, ["run_id"])] == [("run-1", 3), ("run-2", 1)]
    assert outcomes_by(ledger, [], {"run_id": "run-2"}) == [Questions({}, kept=1)]


def test_a_question_that_is_answered_in_the_end_did_not_fail(ledger: Ledger) -> None:
    ask_in_vain(ledger, "a")
    ask(ledger, "a")
    assert outcomes_by(ledger, ["asset_key"]) == [Questions({"asset_key": "asset"}, kept=1)]


def test_a_steps_questions_are_told_by_purpose_and_are_its_own(ledger: Ledger) -> None:
    ask(ledger, "a")
    ask_in_vain(ledger, "b")
    ask(ledger, "c", run_id="run-2")
    ask(ledger, "d", asset="another")
    [(purpose, found)] = outcomes_of_step(ledger, "run-1", "asset", None).items()
    assert purpose == begin("a").use.place.purpose
    assert found == {"asked": 2, "kept": 1, "causes": {"failed: server": 1}}


@pytest.mark.parametrize("columns", [(), ("role", "operation"), ("day", "run_id")])
@pytest.mark.parametrize("at_once", [1, 2_048])
def test_one_pass_over_a_whole_ledger_adds_up_what_joins_do(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...], at_once: int
) -> None:
    monkeypatch.setattr("teams_dagster.ledger.adding_up._AT_ONCE", at_once)
    draw = random.Random(0)
    going = [stories(f"{number}", role=f"role {number % 4}")[number % 6] for number in range(30)]
    rows: list[Row] = []
    while going := [story for story in going if story]:  # each in its order, all of them side by side
        rows += draw.choice(going).pop(0)
    unpriced, last = Asked("unpriced"), Asked("last")
    insert(str(ledger.engine.url), [*unpriced.intent(), *rows, *unpriced.answered(cost=None), *last.intent()])
    every = {"provider": "openai"}
    assert costs_by(ledger, columns) == costs_by(ledger, columns, every) != []


def test_the_account_of_a_ledger_that_asked_nothing_is_empty(ledger: Ledger) -> None:
    for columns in ((), ("role",)):
        assert costs_by(ledger, columns) == costs_by(ledger, columns, {"provider": "openai"})
