"""Weeks by themselves: weekly ticks, and all that can come between; at their end nothing is lost, double or overspent.

`SOAK_SEED` (printed) says which requests meet a fault, `SOAK_WEEKS` how many weeks are lived. Prints a line a week.
Three weeks are the default; a year is `SOAK_WEEKS=52`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.scheduler.instigation import InstigatorTick

from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from teams_dagster.automation.runs import UNDER_WAY
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.instructions.seeds import shipped_seeds_path
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import recount, spent_by
from teams_dagster.ledger.database import OLDEST, open_database, sqlite_url
from teams_dagster.ledger.schema import SCHEMA_VERSION
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support import forked_runs
from tests.support.old_ledgers import make_older
from tests.support.processes import until
from tests.support.project import Project
from tests.support.simulated_year import BERLIN, PATIENCE_S, RulesServer, Year, living, query
from tests.support.small_student import write_student
from tests.support.webhook import Webhook

SEED, WEEKS = int(os.environ.get("SOAK_SEED", "0")), int(os.environ.get("SOAK_WEEKS", "3"))

MONDAYS = [datetime(2025, 1, 6) + timedelta(weeks=week) for week in range(WEEKS)]
"""As days: in Berlin the clocks change on 30 March and on 26 October."""

FIRST_SEEDS, LATER_SEEDS = slice(0, 60), slice(30, 100)
"""Rows of the shipped seeds in the first file, and in the one that takes its place; a third has its turn a week."""

REFUSED, KILLED, DRY, RAISED, NEW_SEEDS, UPGRADED, TWICE = 3, 5, 9, 11, 20, 26, 40
"""Weeks: queries are refused; a run is killed; the budget is used up, and raised; new seeds; a ledger of an earlier
schema; two runs of one generation at once."""

SHORT_OUTAGE, LONG_OUTAGE = range(15, 18), range(30, 38)
"""Weeks in which the daemon does not run: as many ticks as it makes up for, and more than that."""

CAUGHT_UP = 5
"""Ticks that the daemon makes up for at most."""

LEARNS = 12
"""The week in which people have the adapters trained: at once, and again with enough new samples."""

RETRAIN_AT = 800
"""Kept samples that are worth a retraining."""

PAID = ("generated_instructions", "expert_responses")


def week_of(number: int) -> str:
    """The generation of a week, counted from 1."""
    return f"{MONDAYS[number - 1]:%Y-%m-%d}"


def tick_of(number: int) -> datetime:
    """Just after 03:00 UTC on its Monday, by a clock in Berlin."""
    began = datetime.fromisoformat(f"{week_of(number)}T03:00:20+00:00")
    return began.astimezone(BERLIN)


@dataclass
class Life:
    """What happened."""

    year: Year
    server: RulesServer
    webhook: Webhook
    data: Path
    failed: list[str] = field(default_factory=list)
    """Runs that were to fail: each is told of once."""
    budget: int = 0
    billed_within_it: int = 0
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def seeds(self) -> Path:
        return self.data.parent / "seeds.jsonl"

    @property
    def store(self) -> ArtefactStore:
        return ArtefactStore(data_dir=str(self.data))

    @property
    def ledger_url(self) -> str:
        return sqlite_url(self.data / "ledger.sqlite")

    @property
    def spent(self) -> int:
        """Queries that count in the project's budget."""
        with open_database(self.ledger_url).connect() as connection:
            return spent_by(connection).queries

    def attempts(self) -> dict[str, Counter[str]]:
        """By query, how many attempts ended as what; `unresolved` where nobody knows."""
        asked, tried, ended = schema.questions.c, schema.attempts.c, schema.results.c
        wanted = (
            sa.select(asked.model, asked.messages, asked.replica, ended.status)
            .join(schema.attempts, tried.request_key == asked.request_key)
            .outerjoin(schema.results, tried.request_id == ended.request_id)
            .where(asked.provider == "openai")
        )
        found: dict[str, Counter[str]] = defaultdict(Counter)
        with open_database(self.ledger_url).connect() as connection:
            for model, messages, replica, status in connection.execute(wanted):
                found[query(model, json.loads(messages), replica)][status or "unresolved"] += 1
        return found

    def answers(self) -> set[str]:
        """The queries whose answer is stored."""
        asked = schema.questions.c
        wanted = sa.select(asked.model, asked.messages, asked.replica).join(
            schema.answers, schema.answers.c.request_key == asked.request_key
        )
        with open_database(self.ledger_url).connect() as connection:
            found = connection.execute(wanted)
            return {query(model, json.loads(messages), replica) for model, messages, replica in found}

    def ticks(self, name: str) -> Sequence[InstigatorTick]:
        """Every tick of a schedule."""
        [state] = [state for state in self.year.instance.all_instigator_state() if state.instigator_name == name]
        return self.year.instance.get_ticks(state.instigator_origin_id, state.selector_id)

    def run(self, job: str, week: str | None = None, config: dict[str, Any] | None = None) -> None:
        """Launch a job, as a person does, and see it succeed."""
        run_id = self.year.launch(job, week, config)
        self.year.settle()
        run = self.year.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.is_success, f"{job} {week}: {self.why(run_id)}"

    def why(self, run_id: str) -> str:
        """The errors of a run, for people."""
        events = self.year.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return "; ".join(entry.user_message or str(entry.dagster_event) for entry in events)[:2_000]

    def expect(self, week: str, status: dg.DagsterRunStatus) -> None:
        """The latest run of a generation ended so; one that failed is remembered."""
        [run, *_] = self.year.runs(week)
        assert run.status is status, f"{week} ended as {run.status}: {self.why(run.run_id)}"
        if status is dg.DagsterRunStatus.FAILURE:
            self.failed.append(run.run_id)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder: Path = tmp_path_factory.mktemp("year")
    _write_seeds(folder / "seeds.jsonl", FIRST_SEEDS)
    with pytest.MonkeyPatch.context() as patch, RulesServer(SEED, share=0.02) as server, Webhook() as webhook:
        settings = {
            "PREFLIGHT": "off",
            "DATA_DIR": str(folder / "data"),
            "FIRST_GENERATION": week_of(1),
            "SEEDS": str(folder / "seeds.jsonl"),
            "SEED_ROTATION_WEEKS": "3",
            "STUDENT": str(folder / "base"),
            "RETRAIN_SAMPLES": str(RETRAIN_AT),
            "ALERT_WEBHOOK_URL": webhook.url,
        }
        for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "JUDGE"):
            served = {"MODEL": f"served-{role.lower()}", "BASE_URL": server.base_url, "STRUCTURED": "off"}
            settings |= {f"{role}_{name}": value for name, value in served.items()}
        for name, value in settings.items():
            patch.setenv(f"TEAMS_{name}", value)
        write_student(folder / "base")
        forked_runs.make_ready()
        project = Project(folder / "data")
        assert project.make(seed_instructions, trained_policy)
        _as_the_first_version_left_it(folder / "data")
        with living(folder / "data", tick_of(1) - timedelta(days=1)) as year:
            life = Life(year, server, webhook, folder / "data")
            say(f"\nSOAK_SEED={SEED}, {WEEKS} weeks")
            _live(life, patch)
            life.run("checks")
            life.settings = {name: value for name, value in os.environ.items() if name.startswith("TEAMS_")}
            yield life


@pytest.fixture(autouse=True)
def _settings_of_the_project(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in life.settings.items():
        monkeypatch.setenv(name, value)


def _write_seeds(file: Path, some: slice) -> None:
    rows = shipped_seeds_path().read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(rows[some]), encoding="utf-8")


def say(line: str) -> None:
    print(line, file=sys.__stdout__, flush=True)


def _as_the_first_version_left_it(data: Path) -> None:
    """The ledger has the oldest schema that opens, and nothing was ever sealed."""
    make_older(sqlite_url(data / "ledger.sqlite"), OLDEST)
    for name in (".store-id", ".chain-head"):
        (data / "assets" / name).unlink(missing_ok=True)
    (data / "teams.duckdb").unlink(missing_ok=True)


def _live(life: Life, patch: pytest.MonkeyPatch) -> None:
    year = life.year
    year.switch_on("weekly_generation", "read_changed_seeds")
    year.switch_on("alert_on_failure", "alert_on_checks")
    year.sense()
    for number in range(1, WEEKS + 1):
        if number in (*SHORT_OUTAGE, *LONG_OUTAGE):
            year.restart()
            continue
        began, asked = time.monotonic(), life.server.count
        _before(life, number, patch)
        year.schedule(tick_of(number))
        _during(life, number)
        year.settle()
        year.sense()
        _after(life, number)
        say(f"week {number}, {week_of(number)}: {life.server.count - asked} requests, {time.monotonic() - began:.1f} s")


def _before(life: Life, number: int, patch: pytest.MonkeyPatch) -> None:
    """What happens before a week's tick."""
    life.server.refuses_every = 7 if number == REFUSED else None
    if number == DRY:
        life.budget = life.spent + 25
        patch.setenv("TEAMS_BUDGET_QUERIES", str(life.budget))
        life.run("checks")  # of a generation that ends for the budget no account is made, and no check of it runs
    if number == RAISED:
        life.billed_within_it = life.server.billable
        patch.setenv("TEAMS_BUDGET_QUERIES", "1000000")
    if number == LEARNS:
        life.year.switch_on("retrain_on_new_samples")
    if number == NEW_SEEDS:
        _write_seeds(life.seeds, LATER_SEEDS)
        life.year.now = tick_of(number) - timedelta(days=1)
        life.year.sense()
    if number == UPGRADED:
        make_older(life.ledger_url, SCHEMA_VERSION - 1)


def _during(life: Life, number: int) -> None:
    """What happens while its generation is made."""
    if number == KILLED:
        [run] = life.year.runs(week_of(number))
        asked = life.server.count
        until(lambda: life.server.count >= asked + 30 or not forked_runs.alive(), PATIENCE_S)
        forked_runs.kill(run.run_id)
    if number == TWICE:
        life.year.launch("regenerate", week_of(number))


def _after(life: Life, number: int) -> None:
    """How it ended, and what a person does about it."""
    week, again = week_of(number), []
    if number in (KILLED, *range(DRY, RAISED)):
        life.expect(week, dg.DagsterRunStatus.FAILURE)
    else:
        life.expect(week, dg.DagsterRunStatus.SUCCESS)
    if number == REFUSED:
        life.server.refuses_every = None
        life.run("retry_failed", week)
    if number == KILLED:
        again = [number]
    if number == RAISED:
        again = list(range(DRY, RAISED))
    for outage in (SHORT_OUTAGE, LONG_OUTAGE):
        if number == outage.stop:
            first_made = max(outage.start, number + 1 - CAUGHT_UP)
            again = list(range(outage.start, first_made))
            for caught_up in range(first_made, number):
                life.expect(week_of(caught_up), dg.DagsterRunStatus.SUCCESS)
    for missing in again:
        life.run("regenerate", week_of(missing))


def lived(*numbers: int) -> bool:
    """Whether these weeks were."""
    return max(numbers) <= WEEKS


def test_every_week_has_its_generation_whatever_the_clock_says(life: Life) -> None:
    weeks = [week_of(number) for number in range(1, WEEKS + 1)]
    assert life.store.partitions("expert_responses") == weeks
    assert life.store.current("instruction_dataset").facts["generations"] == weeks
    ticks = [tick for tick in life.ticks("weekly_generation") if tick.run_ids]
    assert Counter(tick.run_keys[0] for tick in ticks).most_common(1)[0][1] == 1


def test_no_query_is_left_without_an_answer(life: Life) -> None:
    made = [life.store.current(key, week) for key in PAID for week in life.store.partitions(key)]
    assert [artefact.facts["unanswered"] for artefact in made] == [0] * len(made)


def test_no_answer_is_lost_and_none_is_bought_twice(life: Life) -> None:
    asked, answers = life.attempts(), life.answers()
    lost = [key for key, times in life.server.answered.items() if times and key not in answers]
    double = [key for key, times in life.server.answered.items() if times > 1 + asked[key]["unresolved"]]
    double += [key for key, found in asked.items() if found["ok"] > 1]
    unknown = [key for key in life.server.requests if key not in asked]
    assert (lost, double, unknown) == ([], [], [])


def test_nothing_is_spent_beyond_the_budget(life: Life) -> None:
    if lived(RAISED):
        assert 0 < life.billed_within_it <= life.budget
    with open_database(life.ledger_url).connect() as connection:
        assert spent_by(connection) == recount(connection)


def test_nothing_is_left_held(life: Life) -> None:
    with open_database(life.ledger_url).connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.claims)).scalar_one() == 0
    assert life.year.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)) == []


def test_no_seed_is_asked_twice_with_one_replica(life: Life) -> None:
    weeks = life.store.partitions("generated_instructions")
    manifests = [read_manifest(life.store.current("generated_instructions", week)) for week in weeks]
    asked = [pair for manifest in manifests for pair in manifest.replicas]
    assert len(asked) == len(set(asked))


def test_a_new_seed_file_is_read_and_used(life: Life) -> None:
    if not lived(NEW_SEEDS):
        pytest.skip("it comes later")
    first, *_, last = [
        read_manifest(life.store.current("generated_instructions", week)).seeds_version
        for week in life.store.partitions("generated_instructions")
    ]
    assert first != last == life.store.current("seed_instructions").data_version


def test_each_failure_is_told_once(life: Life) -> None:
    told = [sent["details"]["run"] for sent in life.webhook.received if sent["title"].startswith("Run of")]
    assert sorted(told) == sorted(life.failed)


def test_the_budgets_end_is_told_by_its_check(life: Life) -> None:
    if not lived(DRY):
        pytest.skip("it comes later")
    assert "budget_has_room" in {sent["details"].get("check") for sent in life.webhook.received}


def test_the_adapters_are_retrained_on_what_is_new_and_each_time_once(life: Life) -> None:
    if not lived(LEARNS):
        pytest.skip("it comes later")
    runs = life.year.instance.get_runs(dg.RunsFilter(job_name="retrain"))
    assert runs
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert len({run.tags["dagster/run_key"] for run in runs}) == len(runs)


def test_no_check_finds_an_error(life: Life) -> None:
    [run] = life.year.instance.get_runs(dg.RunsFilter(job_name="checks"), limit=1)
    events = life.year.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.asset_check_evaluation_data for entry in events if entry.dagster_event]
    ran = [check for check in found if "not_run" not in check.metadata]
    wrong = [check for check in ran if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR]
    assert len(ran) > 20
    assert {check.check_name: check.description for check in wrong} == {}


def test_all_of_it_again_sends_nothing(life: Life) -> None:
    asked, version = life.server.count, life.store.current("instruction_dataset").data_version
    for number in (1, WEEKS // 2, WEEKS):
        life.run("regenerate", week_of(number))
    assert (life.server.count, life.store.current("instruction_dataset").data_version) == (asked, version)
