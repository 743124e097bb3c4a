"""The weekly schedule launches its week, and those before it that nobody saw."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from teams_dagster.automation.runs import PARTITION
from teams_dagster.automation.schedules import weekly_generation

TICK = datetime(2026, 11, 30, 3, tzinfo=UTC)
WEEKS = ["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that remembers schedules; an ephemeral one does not."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def switch_on(instance: dg.DagsterInstance, when: datetime) -> None:
    """As the UI does."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="teams_dagster.definitions"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), weekly_generation.name)
    data = ScheduleInstigatorData(weekly_generation.cron_schedule, start_timestamp=when.timestamp())
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data))


def launch(instance: dg.DagsterInstance, *weeks: str, status: dg.DagsterRunStatus) -> None:
    for week in weeks:
        instance.add_run(dg.DagsterRun(job_name="regenerate", status=status, tags={PARTITION: week}))


def tick(instance: dg.DagsterInstance) -> list[str | None]:
    """The generations that a tick launches."""
    with dg.build_schedule_context(instance, scheduled_execution_time=TICK) as context:
        requests = weekly_generation(context)
    assert isinstance(requests, list)
    return [request.partition_key for request in requests]


def test_a_tick_launches_its_own_week(instance: dg.DagsterInstance) -> None:
    switch_on(instance, TICK - timedelta(hours=1))
    assert tick(instance) == WEEKS[-1:]


def test_weeks_whose_ticks_were_missed_come_first_at_most_four(instance: dg.DagsterInstance) -> None:
    switch_on(instance, TICK - timedelta(weeks=30))
    assert tick(instance) == WEEKS


def test_nothing_is_made_up_for_from_before_it_was_switched_on(instance: dg.DagsterInstance) -> None:
    switch_on(instance, TICK - timedelta(days=10))
    assert tick(instance) == WEEKS[-2:]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_a_week_that_was_launched_is_not_launched_again_however_it_ended(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    switch_on(instance, TICK - timedelta(weeks=30))
    launch(instance, *WEEKS[:3], status=status)
    assert tick(instance) == WEEKS[3:]
