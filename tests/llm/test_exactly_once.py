"""Paid work under SIGKILL at random points, beside other workers, under faults and within budgets: on both databases.

A few rounds of what `make soak` plays for long. The server's own counts are the truth.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from teams_dagster.ledger.budgets import Budget
from tests.support.counting_server import CountingServer
from tests.support.openai_server import Fault
from tests.support.processes import until
from tests.support.rounds import Figures, Plan, play
from tests.support.workers import Crew, Work, ask_everything

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

ASK_ONE = """
import sys
from pathlib import Path
from tests.support.workers import Work, ask_everything
ask_everything(Work(*sys.argv[2:], ("q",)), Path(sys.argv[1]))
"""


def checked(plan: Plan, new_ledger: Callable[[], str], folder: Path) -> Figures:
    """A round that kept every promise."""
    figures = play(plan, new_ledger(), folder)
    assert not figures.broken, f"{plan}: {figures}"
    return figures


@pytest.mark.parametrize(
    "plan",
    [Plan(seed=1, kills=4), Plan(seed=2, kills=4, workers=2, faults=0.1)],
    ids=["one worker", "two workers and faults"],
)
def test_kills_lose_no_answer_and_pay_none_twice(plan: Plan, new_ledger: Callable[[], str], tmp_path: Path) -> None:
    assert checked(plan, new_ledger, tmp_path).kills > 0


def test_two_runs_over_the_same_questions_pay_for_each_once(new_ledger: Callable[[], str], tmp_path: Path) -> None:
    figures = checked(Plan(seed=3, workers=2), new_ledger, tmp_path)
    assert figures.requests == figures.ok == figures.questions


def test_faults_cost_no_answer(new_ledger: Callable[[], str], tmp_path: Path) -> None:
    figures = checked(Plan(seed=4, workers=2, faults=0.15), new_ledger, tmp_path)
    assert figures.failed > 0
    assert figures.ok == figures.questions
    assert figures.requests == figures.ok + figures.failed


def test_whoever_holds_the_read_model_open_stops_nobody(new_ledger: Callable[[], str], tmp_path: Path) -> None:
    figures = checked(Plan(seed=5, kills=3, holder=True), new_ledger, tmp_path)
    assert figures.refused > 0
    assert figures.published == 0


def test_two_runs_share_a_budget_to_the_last_query_and_go_on_with_more(
    new_ledger: Callable[[], str], tmp_path: Path
) -> None:
    figures = checked(Plan(seed=6, workers=2, budget=Budget(queries=50)), new_ledger, tmp_path)
    assert figures.unspent == 0
    assert figures.requests == figures.questions


def test_two_runs_share_a_budget_of_dollars(new_ledger: Callable[[], str], tmp_path: Path) -> None:
    figures = checked(Plan(seed=7, workers=2, budget=Budget(nano_usd=200_000)), new_ledger, tmp_path)
    assert figures.unspent < 150_000
    assert figures.requests == figures.questions


def test_kills_and_faults_spend_nothing_beyond_a_budget(new_ledger: Callable[[], str], tmp_path: Path) -> None:
    checked(Plan(seed=8, kills=3, workers=2, faults=0.1, budget=Budget(queries=50)), new_ledger, tmp_path)


def test_a_killed_worker_whose_end_nobody_has_noticed_stops_nobody(
    new_ledger: Callable[[], str], tmp_path: Path
) -> None:
    """Its parent has not waited for it: the process is still listed, with its number and its start."""
    ledger_url = new_ledger()
    with CountingServer(0) as server, Crew(tmp_path) as crew:
        server.faults.append(Fault(hang_s=60))
        arguments = [str(tmp_path / "seen"), server.base_url, ledger_url, "run-1"]
        killed = subprocess.Popen([sys.executable, "-c", ASK_ONE, *arguments], cwd=ROOT)
        until(lambda: server.count == 1)
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        heir = crew.start(ask_everything, Work(server.base_url, ledger_url, "run-2", ("q",)))
        until(lambda: not heir.alive, 20)
        assert heir.lines[-1:] == ["end answered"]
        killed.wait()
