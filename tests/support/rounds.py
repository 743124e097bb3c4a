"""Rounds of work under kills, and the comparison of what the ledger says with what the server counted."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from teams_dagster.core.protocol import ModelIdentity, Usage
from teams_dagster.ledger import schema
from teams_dagster.ledger.budgets import Budget, recount, spent_by
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.endpoint import made_ready
from teams_dagster.llm.keys import request_key
from teams_dagster.store.read_model import PUBLISHED, UP_TO_DATE, refresh
from tests.support.counting_server import CountingServer
from tests.support.processes import until
from tests.support.questions import question
from tests.support.workers import (
    IN_FLIGHT,
    SAMPLING,
    UNBOUNDED,
    Crew,
    Work,
    Worker,
    ask_everything,
    hold_open,
    refresh_forever,
)

INPUT, OUTPUT = 100, 400
"""Nano-dollars per token, where dollars are bounded."""

_UNRESOLVED = (
    "select count(*) from llm_calls where status = 'unresolved'",
    "select sum(unresolved)::int from cost_by_asset",
)

_TABLES = ("llm_calls", "llm_requests", "answers", "cost_by_asset", "cost_by_model")


@dataclass(frozen=True)
class Figures:
    """What rounds came to. All from `lost` on must be 0."""

    rounds: int = 0
    kills: int = 0
    """Workers and refreshers killed while they ran."""
    questions: int = 0
    requests: int = 0
    """Received by the server."""
    ok: int = 0
    failed: int = 0
    unresolved: int = 0
    published: int = 0
    """Refreshes that put a new file in place."""
    refused: int = 0
    """Refreshes that found the file open for writing, and said so."""
    unspent: int = 0
    """What was left of the budget when it was used up: of one round, in the budget's unit."""
    lost: int = 0
    """Answers that a worker saw, and that are not on the ledger as it saw them."""
    unanswered: int = 0
    """Questions without a stored answer when all work had ended."""
    double: int = 0
    """Answers that the server gave beyond one a question and one an unresolved intent."""
    miscounted: int = 0
    """Questions whose calls or tokens on the ledger are not what the server counted."""
    unreported: int = 0
    """Unresolved intents that an account leaves out or makes up."""
    beyond: int = 0
    """Unresolved intents beyond the calls that killed workers can have had in flight."""
    over_budget: int = 0
    """Queries, or nano-dollars, that may have been billed beyond the budget."""
    miscalculated: int = 0
    """Spending counters that are not the sum of the calls."""
    held_claims: int = 0
    """Claims left when all work had ended."""
    torn: int = 0
    """Times that `teams.duckdb` could not be opened, or was not what a rebuild makes."""

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        shown = [f.name for f in fields(self) if f.name != "unspent"]
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self, name):,}" for name in shown)

    @property
    def broken(self) -> dict[str, int]:
        """The promises that were not kept, with how often."""
        names = [f.name for f in fields(self)]
        return {name: found for name in names[names.index("lost") :] if (found := getattr(self, name))}


@dataclass(frozen=True)
class Plan:
    """One round."""

    seed: int
    questions: int = 80
    workers: int = 1
    """Workers that ask the same questions at once, each in its own order."""
    kills: int = 0
    faults: float = 0.0
    """The share of requests that meet one."""
    holder: bool = False
    """Whether somebody holds `teams.duckdb` open for writing all the while."""
    budget: Budget = UNBOUNDED
    more: Budget = UNBOUNDED
    """The budget with which the work is continued once the first is used up."""

    def __str__(self) -> str:
        return ", ".join(f"{f.name} {value}" for f in fields(self) if (value := getattr(self, f.name)) != f.default)


@dataclass
class _Round:
    """A round under way."""

    plan: Plan
    ledger_url: str
    folder: Path
    server: CountingServer
    crew: Crew
    chance: random.Random
    prices: Path | None
    clients: list[Worker] = field(default_factory=list)
    """All of them, the dead ones too."""
    asking: list[Worker | None] = field(default_factory=list)
    """Those at work now."""
    refresher: Worker | None = None
    refreshers: list[Worker] = field(default_factory=list)
    kills: int = 0
    killed_askers: int = 0
    torn: int = 0

    @property
    def model(self) -> Path:
        return self.folder / "teams.duckdb"

    @property
    def texts(self) -> list[str]:
        return [f"question {number}" for number in range(self.plan.questions)]

    def fill(self, budget: Budget) -> None:
        """Start whoever is missing."""
        for place, worker in enumerate(self.asking):
            if worker is None:
                texts = self.texts
                self.chance.shuffle(texts)
                run_id = f"run-{len(self.clients)}"
                work = Work(self.server.base_url, self.ledger_url, run_id, tuple(texts), budget, self.prices)
                self.asking[place] = started = self.crew.start(ask_everything, work)
                self.clients.append(started)
        if self.refresher is None:
            self.refresher = self.crew.start(refresh_forever, self.ledger_url, self.model)
            self.refreshers.append(self.refresher)

    def wait_a_moment(self) -> None:
        """Until the server has received a random number of requests more, and a little longer; or all work ended."""
        share = 2 * self.plan.questions // (self.plan.kills + 1)
        enough = self.server.count + self.chance.randint(0, share)
        until(lambda: self.server.count >= enough or not any(w is not None and w.alive for w in self.asking))
        time.sleep(self.chance.uniform(0, 0.05))

    def kill_some(self) -> None:
        """One worker, all of them, the refresher, or everybody."""
        one = self.chance.randrange(len(self.asking))
        everyone = range(len(self.asking))
        victims, refresher = self.chance.choice([([one], False), (everyone, False), ([], True), (everyone, True)])
        for place in victims:
            worker = self.asking[place]
            if worker is not None and self.crew.kill(worker):
                self.kills += 1
                self.killed_askers += 1
                self.asking[place] = None
        if refresher and self.refresher is not None:
            self.kills += self.crew.kill(self.refresher)
            self.refresher = None
        self.torn += self.model.exists() and not self.plan.holder and not _opens(self.model)

    def finish(self, expected: str) -> None:
        """Until every worker has ended as expected."""
        workers = [worker for worker in self.asking if worker is not None]
        until(lambda: not any(worker.alive for worker in workers))
        ends = {worker.lines[-1] if worker.lines else "nothing" for worker in workers}
        assert ends == {f"end {expected}"}, ends
        self.asking = [None] * self.plan.workers


def play(plan: Plan, ledger_url: str, folder: Path) -> Figures:
    """Play a round and compare. The ledger at `ledger_url` and `folder` are new."""
    server = CountingServer(plan.seed, share=plan.faults)
    with server, Crew(folder) as crew:
        chance = random.Random(plan.seed)
        game = _Round(
            plan, ledger_url, folder, server, crew, chance, _prices(plan, folder), asking=[None] * plan.workers
        )
        holder = _hold(game) if plan.holder else None
        for _ in range(plan.kills):
            game.fill(plan.budget)
            game.wait_a_moment()
            game.kill_some()
        game.fill(plan.budget)
        left = 0
        if plan.budget.bounded:
            game.finish("BudgetExhausted")
            left = _left(game)
            game.fill(plan.more)
        game.finish("answered")
        if plan.holder:
            until(lambda: any(worker.lines for worker in game.refreshers))
        for worker in (game.refresher, holder):
            if worker is not None:
                crew.kill(worker)
        until(lambda: server.in_flight == 0)
        return _compare(game, left)


def _hold(game: _Round) -> Worker:
    """Publish a read model, and have somebody open it."""
    refresh(game.ledger_url, [], game.model)
    holder = game.crew.start(hold_open, game.model)
    until(lambda: "held" in holder.lines)
    return holder


def _prices(plan: Plan, folder: Path) -> Path | None:
    """A price file, where dollars are bounded."""
    if plan.budget.nano_usd is None:
        return None
    path = folder / "prices.toml"
    path.write_text(f'[[price]]\nprovider = "openai"\nmodel = "m"\ninput = {INPUT}\noutput = {OUTPUT}\n')
    return path


def _left(game: _Round) -> int:
    """The budget less what the server may bill, in the unit that is bounded."""
    budget, server = game.plan.budget, game.server
    if budget.queries is not None:
        return budget.queries - server.billable
    assert budget.nano_usd is not None
    return budget.nano_usd - sum(_price(server.usage[text]) * times for text, times in server.answered.items())


def _price(usage: Usage) -> int:
    assert usage.prompt_tokens is not None
    assert usage.completion_tokens is not None
    return INPUT * usage.prompt_tokens + OUTPUT * usage.completion_tokens


def _compare(game: _Round, left: int) -> Figures:
    """What the ledger says against what the server counted and the workers saw."""
    identity = ModelIdentity("openai", "m", game.server.base_url)
    keys = {text: request_key(identity, question(text, sampling=SAMPLING)) for text in game.texts}
    refreshes = [line for worker in game.refreshers for line in worker.lines]
    with Ledger(game.ledger_url) as ledger:
        calls, stored = _calls(ledger), _stored(ledger)
        seen = [line.split(" ", 1) for worker in game.clients for line in worker.lines]
        account = total_cost(ledger)
        with ledger.engine.connect() as connection:
            miscalculated = spent_by(connection) != recount(connection)
            claims = connection.execute(sa.select(sa.func.count()).select_from(schema.claims)).scalar_one()
    ends = {worker.process.exitcode for worker in game.refreshers}
    assert ends == {-signal.SIGKILL}, f"a refresher ended of itself: {ends}"
    unresolved = sum(call.status is None for of_key in calls.values() for call in of_key)
    torn = game.torn + _torn(game)
    told = [account.unresolved, *(_read(game.model, query)[0][0] for query in _UNRESOLVED)]
    return Figures(
        rounds=1,
        kills=game.kills,
        questions=game.plan.questions,
        requests=game.server.count,
        ok=account.ok,
        failed=account.failed,
        unresolved=unresolved,
        published=refreshes.count(PUBLISHED),
        refused=sum("is open elsewhere" in line for line in refreshes),
        lost=sum(stored.get(key) != text for key, text in seen if key != "end"),
        unanswered=sum(key not in stored for key in keys.values()),
        double=sum(_double(game.server, text, calls[key]) for text, key in keys.items()),
        miscounted=sum(_miscounted(game.server, text, calls[key]) for text, key in keys.items()),
        unreported=sum(abs(count - unresolved) for count in told),
        beyond=max(0, unresolved - game.killed_askers * (IN_FLIGHT + made_ready(IN_FLIGHT))),
        unspent=max(0, left),
        over_budget=max(0, -left),
        miscalculated=int(miscalculated),
        held_claims=claims,
        torn=torn,
    )


@dataclass(frozen=True)
class _Call:
    status: str | None
    """None for one that is unresolved."""
    error_kind: str | None
    usage: Usage


def _calls(ledger: Ledger) -> dict[str, list[_Call]]:
    """Every attempt on the ledger, by request key."""
    results, attempts = schema.results.c, schema.attempts.c
    wanted = sa.select(
        attempts.request_key,
        results.status,
        results.error_kind,
        results.prompt_tokens,
        results.cached_tokens,
        results.completion_tokens,
    ).select_from(schema.attempts.outerjoin(schema.results, attempts.request_id == results.request_id))
    found: dict[str, list[_Call]] = defaultdict(list)
    with ledger.engine.connect() as connection:
        for key, status, error_kind, *usage in connection.execute(wanted):
            found[key].append(_Call(status, error_kind, Usage(*usage)))
    return found


def _stored(ledger: Ledger) -> dict[str, str]:
    """Every stored answer, by request key."""
    with ledger.engine.connect() as connection:
        return dict(connection.execute(sa.select(schema.answers.c.request_key, schema.answers.c.text)).all())


def _double(server: CountingServer, text: str, calls: list[_Call]) -> int:
    """Answers to one question that were given twice, or paid twice."""
    status = Counter(call.status for call in calls)
    return max(0, server.answered[text] - 1 - status[None], status["ok"] - 1)


def _miscounted(server: CountingServer, text: str, calls: list[_Call]) -> bool:
    """Whether the calls of one question are not what the server received, answered and charged for."""
    status = Counter(call.status for call in calls if call.error_kind != "unreachable")
    ok, known, unresolved = status["ok"], status["ok"] + status["failed"], status[None]
    return not (
        known <= server.requests[text] <= known + unresolved
        and ok <= server.answered[text] <= ok + unresolved
        and all(call.usage == server.usage[text] for call in calls if call.status == "ok")
    )


def _torn(game: _Round) -> bool:
    """Whether the read model, brought up to date, is something else than one made from nothing."""
    anew = game.folder / "anew.duckdb"
    reason = refresh(game.ledger_url, [], game.model).reason
    refresh(game.ledger_url, [], anew)
    if reason not in (PUBLISHED, UP_TO_DATE):
        return True
    return any(
        _read(game.model, f"from {name} order by all") != _read(anew, f"from {name} order by all") for name in _TABLES
    )


def _opens(model: Path) -> bool:
    """Whether the file is whole, with each call once."""
    try:
        [(calls, distinct)] = _read(model, "select count(*), count(distinct request_id) from llm_calls")
    except duckdb.Error:
        return False
    return calls == distinct


def _read(model: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(model, read_only=True) as connection:
        return connection.execute(query).fetchall()
