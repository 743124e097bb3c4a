"""Six weeks by themselves: failed queries, a missed tick, a change of the clock, a budget that ends, new seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from assets.accounting.cost_checks import ledger_keeps_its_promises, spending_is_within_budget
from assets.dataset.dataset_checks import dataset_is_up_to_date
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from resources.language_models.offline.model import OfflineModel
from teams_dagster.automation.retraining import retrain_on_new_samples
from teams_dagster.automation.schedules import weekly_generation
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Request
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.instructions.seeds import shipped_seeds_path
from tests.support.checks import checked
from tests.support.project import Project

BERLIN = ZoneInfo("Europe/Berlin")
MONDAYS = ["2026-10-12", "2026-10-19", "2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"]
FAILING, MISSED, CLOCK_CHANGED, BUDGET_ENDS, NEW_SEEDS = MONDAYS[0], MONDAYS[1], MONDAYS[2], MONDAYS[3], MONDAYS[4]


class Year:
    """A project that goes through its weeks."""

    def __init__(self, project: Project, patch: pytest.MonkeyPatch) -> None:
        self.project, self.patch = project, patch
        self.settings: dict[str, str] = {}
        self.budget, self.asked_within_it = 0, 0
        self.requests: list[dg.RunRequest] = []

    def tick(self, monday: str) -> str:
        """The generation that the schedule launches at 03:00 UTC, as a clock in Berlin tells that time."""
        hour = 5 if monday < "2026-10-25" else 4
        when = datetime.fromisoformat(monday).replace(hour=hour, tzinfo=BERLIN)
        with (
            dg.DagsterInstance.local_temp() as instance,
            dg.build_schedule_context(instance, scheduled_execution_time=when) as context,
        ):
            requests = weekly_generation(context)
        assert isinstance(requests, list)
        [request] = requests
        return str(request.partition_key)

    def generate(self, week: str) -> bool:
        """One generation and its answers."""
        paid = (generated_instructions, expert_responses)
        return self.project.make(*paid, week=week, generated_instructions={"seeds": 60})

    def sense(self) -> None:
        """A tick of the sensor that retrains."""
        resources = {"store": self.project.store, "models": self.project.models}
        with dg.build_sensor_context(instance=self.project.instance, resources=resources) as context:
            self.requests += retrain_on_new_samples.evaluate_tick(context).run_requests or []


def fail_some(patch: pytest.MonkeyPatch) -> None:
    """Have the model refuse every seventh query."""
    answer, count = OfflineModel.complete, iter(range(100_000))

    async def complete(self: OfflineModel, request: Request) -> Completion:
        if next(count) % 7 == 3:
            raise CompletionError(ErrorKind.REJECTED, "the model is out", http_status=404)
        return await answer(self, request)

    patch.setattr(OfflineModel, "complete", complete)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    folder: Path = tmp_path_factory.mktemp("year")
    rows = shipped_seeds_path().read_text(encoding="utf-8").splitlines()
    (folder / "first.jsonl").write_text("\n".join(rows[:120]), encoding="utf-8")
    (folder / "second.jsonl").write_text("\n".join(rows[60:200]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_PREFLIGHT", "off")
        patch.setenv("TEAMS_DATA_DIR", str(folder / "data"))
        patch.setenv("TEAMS_SEEDS", str(folder / "first.jsonl"))
        patch.setenv("TEAMS_SEED_ROTATION_WEEKS", "3")
        patch.setenv("TEAMS_RETRAIN_SAMPLES", "100000")
        year = Year(Project(folder / "data"), patch)
        assert year.project.make(seed_instructions, trained_policy)
        _live(year, folder)
        yield year


@pytest.fixture(autouse=True)
def _settings_of_the_project(year: Year, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in year.settings.items():
        monkeypatch.setenv(name, value)


def _live(year: Year, folder: Path) -> None:
    project = year.project
    for monday in MONDAYS:
        if monday == MISSED:
            continue
        week = year.tick(monday)
        if monday == FAILING:
            with pytest.MonkeyPatch.context() as patch:
                fail_some(patch)
                assert year.generate(week)
        if monday == BUDGET_ENDS:
            year.budget = project.calls + 5
            year.patch.setenv("TEAMS_BUDGET_QUERIES", str(year.budget))
            assert not year.generate(week)
            year.asked_within_it = project.calls
            year.patch.setenv("TEAMS_BUDGET_QUERIES", "100000")
        if monday == NEW_SEEDS:
            year.patch.setenv("TEAMS_SEEDS", str(folder / "second.jsonl"))
            assert project.make(seed_instructions)
        assert year.generate(week)
    assert year.generate(MISSED), "backfilled late"
    assert project.make(instruction_dataset)
    year.patch.setenv("TEAMS_RETRAIN_SAMPLES", "10")
    year.sense()
    year.sense()
    year.settings = {name: value for name, value in os.environ.items() if name.startswith("TEAMS_")}


@pytest.mark.slow
def test_every_week_has_its_generation_once_whatever_the_clock_says(year: Year) -> None:
    assert [year.tick(monday) for monday in MONDAYS] == MONDAYS
    assert year.project.store.partitions("expert_responses") == MONDAYS
    assert year.project.store.current("instruction_dataset").facts["generations"] == MONDAYS
    assert checked(dataset_is_up_to_date, year.project.store).passed


@pytest.mark.slow
def test_what_failed_was_asked_again(year: Year) -> None:
    made = [year.project.store.current(key, FAILING) for key in ("generated_instructions", "expert_responses")]
    assert [artefact.facts["unanswered"] for artefact in made] == [0, 0]


@pytest.mark.slow
def test_no_query_was_sent_beyond_the_budget(year: Year) -> None:
    assert 0 < year.asked_within_it <= year.budget
    context = dg.build_asset_check_context(instance=year.project.instance)
    assert checked(ledger_keeps_its_promises, context, ledger=year.project.ledger).passed
    assert checked(spending_is_within_budget, ledger=year.project.ledger, models=year.project.models).passed


@pytest.mark.slow
def test_no_seed_is_asked_twice_with_one_replica(year: Year) -> None:
    manifests = [read_manifest(year.project.store.current("generated_instructions", week)) for week in MONDAYS]
    asked = [pair for manifest in manifests for pair in manifest.replicas]
    assert len(asked) == len(set(asked))
    first, late, *_, new, last = [manifest.seeds_version for manifest in manifests]
    assert first != new == last == late, "what is made late has the seeds of then"


@pytest.mark.slow
def test_it_asks_for_one_retraining(year: Year) -> None:
    assert len(year.requests) == 2
    assert len({request.run_key for request in year.requests}) == 1


@pytest.mark.slow
def test_all_of_it_again_sends_nothing(year: Year) -> None:
    asked, version = year.project.calls, year.project.version("instruction_dataset")
    for week in MONDAYS:
        assert year.generate(week)
    assert year.project.make(instruction_dataset)
    assert (year.project.calls, year.project.version("instruction_dataset")) == (asked, version)
