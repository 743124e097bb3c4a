"""What may have been billed counts, and nothing is begun that does not fit."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.protocol import ErrorKind
from teams_dagster.ledger.budgets import (
    PROJECT,
    Budget,
    BudgetExhausted,
    Budgets,
    Exhausted,
    Limit,
    Reservation,
    Spent,
    recount,
    run_scope,
)
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from tests.support.entries import begin, failure, settle
from tests.support.properties import example_count

UNBOUNDED = Budget()


def held(tokens: int = 100, nano_usd: int | None = 50, budget: Budget = UNBOUNDED) -> Reservation:
    return Reservation((Limit(PROJECT, budget),), tokens, nano_usd)


def write(ledger: Ledger, *entries) -> list:
    async def every() -> list:
        return [await ledger.write(entry) for entry in entries]

    return asyncio.run(every())


def audited(ledger: Ledger) -> Spent:
    """What is spent, once it is the same by the counter and by the calls."""
    with ledger.engine.connect() as connection:
        counted = recount(connection)
    assert ledger.spent() == counted
    return counted


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:
        yield opened


def test_a_call_under_way_counts_as_the_most_it_can_cost(ledger: Ledger) -> None:
    write(ledger, begin("q", reserves=held(100, 50)))
    assert audited(ledger) == Spent(1, 100, 50)


def test_an_answer_counts_as_what_it_did_cost(ledger: Ledger) -> None:
    begun = begin("q", reserves=held(100, 50))
    write(ledger, begun, settle(begun, cost=7))
    assert audited(ledger) == Spent(1, 15, 7)


def test_an_answer_whose_cost_is_not_known_counts_as_reserved(ledger: Ledger) -> None:
    begun = begin("q", reserves=held(100, 50))
    write(ledger, begun, settle(begun, cost=None))
    assert audited(ledger) == Spent(1, 15, 50)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_a_failure_counts_only_where_it_may_have_been_billed(ledger: Ledger, kind: ErrorKind) -> None:
    begun = begin("q", reserves=held(100, 50))
    write(ledger, begun, *failure(begun, kind))
    assert audited(ledger) == (Spent(1, 100, 50) if kind.perhaps_billed else Spent())


@pytest.mark.parametrize(
    ("bounds", "unit"), [({"queries": 1}, "queries"), ({"tokens": 150}, "tokens"), ({"nano_usd": 99}, "nano_usd")]
)
def test_what_does_not_fit_is_not_begun(ledger: Ledger, bounds: dict[str, int], unit: str) -> None:
    first, second = (begin(text, reserves=held(budget=Budget(**bounds))) for text in "ab")
    begun, refused = write(ledger, first, second)
    assert begun is None
    assert isinstance(refused, Exhausted)
    assert (refused.unit, refused.scope) == (unit, PROJECT)
    assert audited(ledger).queries == 1


def test_what_settles_for_less_makes_room(ledger: Ledger) -> None:
    first, second = (begin(text, reserves=held(1, 50, Budget(nano_usd=60))) for text in "ab")
    assert isinstance(write(ledger, first, second)[1], Exhausted)
    write(ledger, settle(first, cost=7))
    assert write(ledger, second) == [None]


def test_a_refused_further_attempt_gives_its_claim_back(ledger: Ledger, tmp_path: Path) -> None:
    first = begin("q", reserves=held(budget=Budget(queries=1)))
    failed, _ = failure(first, ErrorKind.TIMEOUT)
    again = replace(first, attempt=replace(first.attempt, request_id="again", attempt=2))
    assert isinstance(write(ledger, first, failed, again)[2], Exhausted)
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as theirs:
        assert write(theirs, begin("q", run_id="run-2")) == [None]


def test_every_scope_of_a_run_is_bounded_by_itself(ledger: Ledger) -> None:
    budgets = Budgets(run=Budget(queries=2), roles={"expert": Budget(queries=1)})
    first, second = (begin(text, reserves=Reservation(budgets.limits("run-1", "expert"), 1, 0)) for text in "ab")
    reviewer = begin("c", role="reviewer", reserves=Reservation(budgets.limits("run-1", "reviewer"), 1, 0))
    _, refused, allowed = write(ledger, first, second, reviewer)
    assert isinstance(refused, Exhausted)
    assert refused.scope == run_scope("run-1", "expert")
    assert allowed is None
    assert ledger.spent(run_scope("run-1")).queries == 2
    assert write(ledger, begin("d", reserves=Reservation(budgets.limits("run-2", "expert"), 1, 0))) == [None]


def test_a_budget_of_a_name_of_its_own_bounds_and_stands_in_for_no_other() -> None:
    own = Limit("run r, preflight", Budget(queries=600))
    budgets = Budgets(named=(own,))
    assert own in budgets.limits("r", "expert")
    assert not budgets.cover("expert")
    assert Budgets(project=Budget(queries=1), named=(own,)).cover("expert")


def test_what_other_processes_spent_leaves_room_for_as_many_of_a_crowd_as_fit(tmp_path: Path) -> None:
    url, ten = sqlite_url(tmp_path / "ledger.sqlite"), Budget(queries=10)
    with Ledger(url) as ours, Ledger(url) as theirs:
        write(theirs, *(begin(f"theirs {number}") for number in range(7)))

        async def crowd() -> list:
            asked = (begin(f"ours {number}", reserves=held(budget=ten)) for number in range(9))
            return await asyncio.gather(*(ours.write(each) for each in asked))

        begun = asyncio.run(crowd())
        assert begun == [None] * 3 + [Exhausted(PROJECT, "queries", 10, 10, 1)] * 6
        assert audited(ours).queries == 10


def test_processes_share_a_budget(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    with Ledger(url) as ours, Ledger(url) as theirs:

        async def crowd(ledger: Ledger, name: str) -> list:
            return await asyncio.gather(
                *[ledger.write(begin(f"{name}{i}", reserves=held(budget=Budget(queries=70)))) for i in range(60)]
            )

        async def both() -> list:
            first, second = await asyncio.gather(crowd(ours, "a"), crowd(theirs, "b"))
            return first + second

        begun = asyncio.run(both())
        assert begun.count(None) == 70
        assert audited(ours).queries == 70


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["ok", "unpriced", "open", *ErrorKind]), st.integers(0, 200)), max_size=25))
@settings(max_examples=example_count(40))
def test_the_counter_is_the_sum_of_the_calls_and_never_above_the_budget(events: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(sqlite_url(Path(folder) / "l.sqlite")) as ledger:
        for number, (event, size) in enumerate(events):
            begun = begin(str(number), reserves=held(size + 15, size + 7, Budget(tokens=900, nano_usd=800)))
            if write(ledger, begun)[0] is not None or event == "open":
                continue
            if event in ("ok", "unpriced"):
                write(ledger, settle(begun, cost=7 if event == "ok" else None))
            else:
                write(ledger, *failure(begun, ErrorKind(event)))
            spent = audited(ledger)
            assert spent.tokens <= 900
            assert spent.nano_usd <= 800


def test_an_exhausted_budget_names_what_to_raise() -> None:
    project = BudgetExhausted(Exhausted(PROJECT, "nano_usd", 2_000_000_000, 1_990_000_000, 30_000_000))
    assert "TEAMS_BUDGET_USD" in str(project)
    assert "$1.9900 of $2.0000" in str(project)
    run = BudgetExhausted(Exhausted(run_scope("abc", "expert"), "queries", 100, 100, 1))
    assert "the budget in the run's configuration" in str(run)
