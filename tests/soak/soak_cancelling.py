"""How long after the UI asks that a run end its last query arrives. Prints its figures.

`SOAK_CANCELS` says how many runs of each latency are cancelled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pytest

from teams_dagster.cli.project import prepare_home
from teams_dagster.settings import load_settings
from tests.automation.test_running_safely import Served, a_ui
from tests.support import served_rules
from tests.support.commands import ROOT
from tests.support.openai_server import Body, OpenAIServer

CANCELS = int(os.environ.get("SOAK_CANCELS", "5"))
FIRST_WEEK = date(2026, 1, 5)


class Arrivals(list[Body]):
    """Requests as they arrive, answered or not, and when the last of them did."""

    last = 0.0

    def append(self, body: Body) -> None:
        self.last = time.monotonic()
        super().append(body)


arrivals = Arrivals()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data, server = tmp_path_factory.mktemp("data"), OpenAIServer(served_rules.answer)
    server.received = arrivals
    with pytest.MonkeyPatch.context() as settings, server:
        for name in [name for name in os.environ if name.startswith(("TEAMS_", "DAGSTER_"))]:
            settings.delenv(name)
        told = {"TEAMS_DATA_DIR": str(data), "TEAMS_PREFLIGHT": "off", "TEAMS_MAX_IN_FLIGHT": "32"}
        told |= {"TEAMS_MODEL": "served", "TEAMS_BASE_URL": server.base_url, "PYTHONPATH": str(ROOT)}
        for name, value in told.items():
            settings.setenv(name, value)
        for role in ("EXPERT", "REVIEWER", "INSTRUCTOR"):
            settings.setenv(f"TEAMS_{role}_STRUCTURED", "off")
        prepare_home(load_settings(ROOT))
        with dg.DagsterInstance.get() as instance, a_ui() as client:
            yield Served(data, server, client, instance, told)


@pytest.mark.parametrize("latency_s", [0.05, 5.0])
def test_a_run_that_is_cancelled(served: Served, latency_s: float) -> None:
    served.server.latency_s = latency_s
    for number in range(CANCELS):
        week = FIRST_WEEK + timedelta(weeks=number + (CANCELS if latency_s > 1 else 0))
        run_id = served.launch(week.isoformat(), {"seeds": 200, "policy": "uniform"})
        asked = time.monotonic()
        served.client.terminate_run(run_id)
        told = time.monotonic()
        assert served.ended(run_id) is dg.DagsterRunStatus.CANCELED
        print(
            f"\ncalls of {latency_s:g} s: the UI's request took {told - asked:.2f} s, the last query came"
            f" {arrivals.last - asked:+.2f} s after it was made, load {os.getloadavg()[0]:.0f}"
        )
