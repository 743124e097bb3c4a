"""The example of a learner from outside trains, and pays for nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.train_a_policy import train
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.writer import Ledger


@pytest.mark.slow
def test_reinforce_learns_in_the_environment(tmp_path: Path) -> None:
    returns = train(tmp_path / "ledger.sqlite", iterations=6, episodes=32)
    assert sum(returns[3:]) > sum(returns[:3])


def test_a_second_training_is_answered_from_the_ledger(tmp_path: Path) -> None:
    def sent() -> int:
        with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
            return costs_by(ledger, [])[0].calls

    first = train(tmp_path / "ledger.sqlite", iterations=2, episodes=8)
    paid = sent()
    assert train(tmp_path / "ledger.sqlite", iterations=2, episodes=8) == first
    assert sent() == paid
