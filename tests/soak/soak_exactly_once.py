"""The long rounds: workers and refreshers killed at random points, on SQLite and on PostgreSQL (`make soak`).

Named so that no ordinary test run collects it. `SOAK_ROUNDS` says how many rounds each database gets.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from teams_dagster.ledger.budgets import Budget
from teams_dagster.ledger.database import sqlite_url
from tests.support import postgres
from tests.support.rounds import Figures, Plan, play
from tests.support.workers import UNBOUNDED

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "40"))


def plan_of(seed: int) -> Plan:
    """A round that is like no other."""
    chance = random.Random(seed)
    questions = chance.randint(100, 300)
    half = Budget(queries=questions // 2), Budget(nano_usd=questions * 2_500)
    return Plan(
        seed,
        questions=questions,
        workers=chance.randint(1, 3),
        kills=chance.randint(2, 8),
        faults=chance.choice([0.0, 0.01, 0.1]),
        holder=chance.random() < 0.25,
        budget=chance.choice([UNBOUNDED, UNBOUNDED, *half]),
    )


def play_all(ledger_of: Callable[[Path], str], folder: Path, say: Callable[[str], None]) -> Figures:
    """Every round, whatever the ones before came to, and what they came to together."""
    whole = Figures()
    for seed in range(ROUNDS):
        place = folder / str(seed)
        place.mkdir()
        plan, began = plan_of(seed), time.monotonic()
        try:
            figures = play(plan, ledger_of(place), place)
        except AssertionError as error:
            error.add_note(f"in the round of {plan}, after {whole}")
            raise
        whole += figures
        say(f"{plan}: {time.monotonic() - began:.1f} s" + (f"; BROKEN: {figures.broken}" if figures.broken else ""))
    return whole


def test_on_sqlite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        whole = play_all(
            lambda place: sqlite_url(place / "ledger.sqlite"), tmp_path, lambda line: print(line, flush=True)
        )
        print(f"\nSQLite: {whole}")
    assert not whole.broken


@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_on_postgresql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with postgres.cluster() as address, capsys.disabled():
        whole = play_all(lambda _: postgres.new_database(address), tmp_path, lambda line: print(line, flush=True))
        print(f"\nPostgreSQL: {whole}")
    assert not whole.broken
