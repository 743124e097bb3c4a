"""A project whose daemon lives through weeks in minutes: Dagster's own scheduler, sensors, queue and run monitoring.

Its clock is simulated, its runs are processes, and the models are asked over HTTP of a server that counts: the truth.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import yaml
from aiohttp import web
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from teams_dagster.automation.runs import PARTITION, UNDER_WAY
from tests.support import forked_runs
from tests.support.commands import ROOT
from tests.support.openai_server import Body, Fault, OpenAIServer
from tests.support.processes import until
from tests.support.served_rules import answer

BERLIN = ZoneInfo("Europe/Berlin")

PATIENCE_S = 3_600
"""Whatever takes longer hangs."""

FREE = (404, 429, 500)
"""No provider bills these."""

PASSING = (Fault(status=500), Fault(status=429, headers={"Retry-After": "0.05"}), Fault(disconnect=True))

_LOCATION = "teams_dagster"

_log = logging.getLogger(__name__)


class RulesServer(OpenAIServer):
    """The embedded rules over HTTP, counted query by query; `share` of the requests meet a fault that passes."""

    def __init__(self, seed: int, share: float) -> None:
        super().__init__(answer)
        self.requests: Counter[str] = Counter()
        """Received, by query."""
        self.answered: Counter[str] = Counter()
        """Completions sent, by query, whether or not somebody was left to read them."""
        self.free = 0
        """Requests that were refused and cost nothing."""
        self.refuses_every: int | None = None
        """Of so many requests one is refused for good."""
        self._random, self._share = random.Random(seed), share

    @property
    def billable(self) -> int:
        """Requests that a provider may charge for."""
        return self.count - self.free

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.requests[query_of(await request.json())] += 1
        if self.refuses_every is not None and self.count % self.refuses_every == 0:
            self.faults.append(Fault(status=404))
        elif self._random.random() < self._share:
            self.faults.append(self._random.choice(PASSING))
        return await super()._complete(request)

    async def _answer(self, request: web.Request, body: Body) -> web.StreamResponse:
        self.answered[query_of(body)] += 1
        return await super()._answer(request, body)

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        self.free += fault.status in FREE and not fault.disconnect
        return await super()._fail(request, fault)


def query_of(body: Body) -> str:
    """What is asked: the model, the messages, and the seed, which is the replica."""
    return query(body["model"], body["messages"], body.get("seed") or 0)


def query(model: str, messages: Sequence[Mapping[str, str]], replica: int) -> str:
    """The same of what the ledger has of a query."""
    plain = [[message["role"], message["content"]] for message in messages]
    return json.dumps([model, plain, replica], ensure_ascii=False)


@dataclass
class Year:
    """Dagster's daemon over a project, with a clock of its own."""

    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    now: datetime
    """Of the simulated clock, in Berlin's time."""
    _iterations: dict[str, ScheduleIterationTimes] = field(default_factory=dict)
    _queue: QueuedRunCoordinatorDaemon = field(default_factory=lambda: QueuedRunCoordinatorDaemon(interval_seconds=1))

    def switch_on(self, *names: str) -> None:
        """Schedules and sensors, as in the UI."""
        with freeze_time(self.now):
            for name in names:
                if self._repository.has_schedule(name):
                    self.instance.start_schedule(self._repository.get_schedule(name))
                else:
                    self.instance.start_sensor(self._repository.get_sensor(name))

    def restart(self) -> None:
        """The daemon was away: what it remembers of its own is lost."""
        self._iterations.clear()

    def schedule(self, moment: datetime) -> None:
        """The daemon looks at its schedules, and begins what waits in the queue."""
        self.now = moment
        with freeze_time(moment):
            list(launch_scheduled_runs(self.workspace, _log, moment, self._iterations))
        self._dequeue()

    def sense(self) -> None:
        """The daemon looks at its sensors, an hour later; what they launch runs to its end."""
        self.now += timedelta(hours=1)
        with freeze_time(self.now):
            list(execute_sensor_iteration(self.workspace, _log, None, None))
        self.settle()

    def settle(self) -> None:
        """Until every run has ended and is known to have."""
        until(lambda: not forked_runs.alive() and not self._waiting(), PATIENCE_S)

    def _waiting(self) -> bool:
        self._dequeue()
        list(execute_run_monitoring_iteration(self.workspace, _log))
        return bool(self.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=1))

    def _dequeue(self) -> None:
        list(self._queue.run_iteration(self.workspace))

    def launch(self, job: str, week: str | None = None, config: Mapping[str, Any] | None = None) -> str:
        """Launch a job as a person does in the UI; the id of its run."""
        request = self.workspace.create_request_context()
        location = request.get_code_location(_LOCATION)
        chosen = JobSubsetSelector(_LOCATION, self._repository.name, job, op_selection=None)
        found = location.get_job(chosen)
        settings = dict(config or {})
        plan = location.get_execution_plan(
            found, settings, step_keys_to_execute=None, known_state=None, instance=self.instance
        )
        run = self.instance.create_run(
            job_name=job,
            run_id=None,
            run_config=settings,
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={PARTITION: week} if week else {},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=found.job_snapshot,
            parent_job_snapshot=found.parent_job_snapshot,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=found.get_remote_origin(),
            job_code_origin=found.get_python_origin(),
            asset_graph=self._repository.asset_graph,
        )
        self.instance.submit_run(run.run_id, request)
        self._dequeue()
        return run.run_id

    def runs(self, week: str) -> list[dg.DagsterRun]:
        """The runs of a generation, the latest first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={PARTITION: week})))

    @property
    def _repository(self) -> Any:
        location = self.workspace.create_request_context().get_code_location(_LOCATION)
        return next(iter(location.get_repositories().values()))


@contextmanager
def living(data: Path, begins: datetime) -> Iterator[Year]:
    """A new instance below `data`, and its daemon; every run has ended, or is killed, when the block ends."""
    home = data / "dagster"
    home.mkdir(parents=True)
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    settings["run_launcher"] = {"module": forked_runs.__name__, "class": forked_runs.ForkedRunLauncher.__name__}
    settings["compute_logs"] = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    settings["run_monitoring"]["start_timeout_seconds"] = PATIENCE_S  # a busy machine begins late
    settings["code_servers"] = {"local_startup_timeout": PATIENCE_S}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    os.environ["TZ"] = str(BERLIN)
    os.environ["DAGSTER_GRPC_TIMEOUT_SECONDS"] = str(PATIENCE_S)
    time.tzset()
    try:
        with (
            dg.DagsterInstance.from_config(str(home)) as instance,
            create_test_daemon_workspace_context(_definitions(), instance) as workspace,
        ):
            yield Year(instance, workspace, begins)
    finally:
        forked_runs.kill_all()
        del os.environ["TZ"], os.environ["DAGSTER_GRPC_TIMEOUT_SECONDS"]
        time.tzset()


def _definitions() -> ModuleTarget:
    """The code location, in a server of its own with the settings of now: a file that one names may change."""
    return ModuleTarget("teams_dagster.definitions", None, str(ROOT), _LOCATION)
