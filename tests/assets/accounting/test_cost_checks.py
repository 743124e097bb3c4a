"""What the checks of the account say, on a ledger with rows and no run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from assets.accounting.cost_checks import (
    budget_has_room,
    calls_are_resolved,
    ledger_keeps_its_promises,
    questions_are_explained,
)
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.ledger.schema import attempts, batches, results
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.entries import ask, ask_in_vain, intend
from tests.support.processes import until
from tests.support.workers import Crew, hold_open


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerConnection:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    root = str(Path(__file__).parent.parent.parent.parent)
    return LedgerConnection(root=root, store=ArtefactStore(data_dir=str(tmp_path)))


HEADERS, BLOCK = 3 * 4_096, 256 * 1024
"""How DuckDB divides a file."""


@pytest.fixture
def ledger(connection: LedgerConnection) -> Iterator[Ledger]:
    with connection.open() as ledger:
        yield ledger


def checked(check: dg.AssetChecksDefinition, connection: LedgerConnection) -> dg.AssetCheckResult:
    context = dg.build_asset_check_context(instance=dg.DagsterInstance.ephemeral())
    result = check(*([context] if check is ledger_keeps_its_promises else []), ledger=connection)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.mark.slow
def test_promises_that_are_kept_pass_and_a_broken_one_is_named(ledger: Ledger, connection: LedgerConnection) -> None:
    assert (checked(ledger_keeps_its_promises, connection).description or "").startswith("not run: nothing was asked")
    ask(ledger, "a", "b")
    ask_in_vain(ledger, "c")
    assert checked(ledger_keeps_its_promises, connection).passed
    ask(ledger, "d")
    with ledger.engine.begin() as database:
        latest = sa.select(sa.func.max(results.c.seq)).scalar_subquery()
        database.execute(sa.update(results).where(results.c.seq == latest).values(outcome="nonsense"))
    found = checked(ledger_keeps_its_promises, connection)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "a billed call has an outcome: 1 violations" in (found.description or "")


@pytest.mark.slow
def test_a_read_model_with_a_damaged_block_is_made_again_and_told_of(
    ledger: Ledger, connection: LedgerConnection, tmp_path: Path
) -> None:
    ask(ledger, *[f"{number} " + "words " * 200 for number in range(2_000)])
    connection.refresh(dg.DagsterInstance.ephemeral())
    sound = connection.read_model.read_bytes()
    for at in range(HEADERS, len(sound), BLOCK):
        connection.read_model.write_bytes(sound[:at] + b"\xa5" * 4_096 + sound[at + 4_096 :])
        assert checked(ledger_keeps_its_promises, connection).passed, f"damaged at {at}"
    assert list(tmp_path.glob("teams.duckdb.unreadable-*"))


@pytest.mark.slow
def test_a_read_model_that_is_held_by_somebody_is_no_broken_promise(
    ledger: Ledger, connection: LedgerConnection, tmp_path: Path
) -> None:
    ask(ledger, "a")
    connection.refresh(dg.DagsterInstance.ephemeral())
    with Crew(tmp_path) as crew:
        holder = crew.start(hold_open, connection.read_model)
        until(lambda: "held" in holder.lines)
        found = checked(ledger_keeps_its_promises, connection)
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert (found.description or "").startswith("not run: ")


def test_attempts_in_an_open_batch_are_counted_apart(ledger: Ledger, connection: LedgerConnection) -> None:
    ask(ledger, "a")
    intend(ledger, "b")
    intend(ledger, "c")
    with ledger.engine.begin() as database:
        latest = sa.select(sa.func.max(attempts.c.seq)).scalar_subquery()
        database.execute(sa.update(attempts).where(attempts.c.seq == latest).values(batch_id="batch-1"))
        place = dict.fromkeys(("role", "provider", "model", "base_url", "run_id", "asset_key"), "x")
        database.execute(
            sa.insert(batches).values(batch_id="batch-1", status="submitted", created_at=1, updated_at=1, **place)
        )
    found = checked(calls_are_resolved, connection)
    assert "2 unresolved (in flight, in an open batch, or their process ended" in (found.description or "")
    assert found.metadata["in_open_batches"].value == 1


def test_questions_that_are_asked_while_the_check_reads_are_no_hole(
    ledger: Ledger, connection: LedgerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assets.accounting import cost_checks

    ask(ledger, "a")
    read = cost_checks.outcomes_by

    def beside_a_run(*arguments):
        ask(ledger, "asked meanwhile")
        found = read(*arguments)
        ask(ledger, "and after")
        return found

    monkeypatch.setattr(cost_checks, "outcomes_by", beside_a_run)
    found = checked(questions_are_explained, connection)
    assert found.passed, found.description


@pytest.mark.parametrize(("allowed", "passed"), [(30, True), (20, False), (2, False)])
def test_a_budget_that_comes_to_its_end_is_said_before_it_does(
    connection: LedgerConnection, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, allowed: int, passed: bool
) -> None:
    ask(ledger, *(f"q{number}" for number in range(19)))
    monkeypatch.setenv("TEAMS_BUDGET_QUERIES", str(allowed))
    models = LanguageModels(root=connection.root, ledger=connection)
    result = budget_has_room(ledger=connection, models=models)
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert f"{19 / allowed:.0%} of the queries" in (result.description or "")


def test_without_a_budget_there_is_no_room_to_look_at(connection: LedgerConnection, ledger: Ledger) -> None:
    result = budget_has_room(ledger=connection, models=LanguageModels(root=connection.root, ledger=connection))
    assert isinstance(result, dg.AssetCheckResult)
    assert result.metadata["not_run"].value
