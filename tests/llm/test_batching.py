"""Questions through a provider's batch endpoint: over real HTTP, on a real ledger, across runs and failures."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from resources.language_models.openai_batches import OpenAIBatches
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Answer, Request, Role, Sampling
from teams_dagster.ledger import batches, schema
from teams_dagster.ledger.batches import Batch
from teams_dagster.ledger.budgets import Budget, Budgets, recount
from teams_dagster.ledger.database import LedgerError, sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batches import split
from teams_dagster.llm.batching import BatchesUnderWay, Batching, BatchPace, BatchRefused
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.unusable import NothingUsable
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_batches import BatchFault, OpenAIBatchServer
from tests.support.openai_server import Body, Fault, Reply, fine
from tests.support.questions import question

TEXTS = [f"question {i}" for i in range(12)]

SOON = BatchPace(wait_s=20, poll_s=0.02)
NOT_WAITING = BatchPace(wait_s=0, poll_s=0.02)


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(lambda body: Reply(fine(body), prompt_tokens=20, completion_tokens=10)) as served:
        yield served


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teams_dagster.llm.batching.QUIET_S", 0.1)


async def ask_all(
    server: OpenAIBatchServer,
    ledger: Ledger,
    texts: Sequence[str] = TEXTS,
    *,
    pace: BatchPace = SOON,
    run_id: str = "run-1",
    prices: Path | None = None,
    follow_up: bool = False,
    broken: bool = False,
    **options: Any,
) -> list[Any]:
    """What came of asking each text through a batch; with `follow_up`, of the question that its answer leads to."""
    model = OpenAICompatibleModel("m", base_url=server.base_url)
    endpoint = OpenAIBatches(model)
    if broken:

        async def submit(batch_id: str, requests: Mapping[str, Request]) -> str:
            raise RuntimeError("killed")

        endpoint.submit = submit
    engine = Engine(
        {Role.EXPERT: model},
        ledger,
        CallContext(run_id, "asset"),
        load_prices(prices),
        batches={Role.EXPERT: endpoint},
        batch_pace=pace,
        first_wait_s=0.01,
        **options,
    )

    async def one(text: str) -> Answer:
        answer = await engine.ask(question(text, sampling=Sampling(max_tokens=100)), transition_id=text)
        if not follow_up:
            return answer
        return await engine.ask(question(f"after {text}: {answer.completion.text}"), transition_id=f"after {text}")

    try:
        return await asyncio.gather(*[one(text) for text in texts], return_exceptions=True)
    finally:
        await engine.close()
        await endpoint.close()


def run(*arguments: Any, **options: Any) -> Counter[str]:
    return Counter(type(result).__name__ for result in asyncio.run(ask_all(*arguments, **options)))


def asked(server: OpenAIBatchServer) -> Counter[str]:
    """How often the server was asked each text, by any way."""
    return Counter(body["messages"][-1]["content"] for body in server.received)


def nothing_is_left_open(ledger: Ledger) -> bool:
    with ledger.engine.connect() as connection:
        assert connection.execute(sa.select(schema.claims)).all() == []
        assert ledger.spent() == recount(connection)
    assert batches.open_batches(ledger) == []
    return True


def test_questions_are_answered_together_at_the_price_of_a_batch(
    server: OpenAIBatchServer, ledger: Ledger, prices: Path
) -> None:
    server.ends_after_polls = 2
    assert run(server, ledger, prices=prices) == {"Answer": 12}
    assert len(server.batches) == 1
    assert set(asked(server).values()) == {1}
    with ledger.engine.connect() as connection:
        costs = connection.exec_driver_sql(
            "select distinct cost_nano_usd, batch_id is not null from results join attempts using (request_id)"
        ).all()
        uses = connection.exec_driver_sql("select count(*), sum(reused) from uses").all()
    assert [tuple(row) for row in costs] == [((20 * 100 + 10 * 1000) // 2, 1)]
    assert [tuple(row) for row in uses] == [(12, 0)]
    assert nothing_is_left_open(ledger)


def test_what_follows_from_answers_is_the_next_batch(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.ends_after_polls = 1
    assert run(server, ledger, follow_up=True) == {"Answer": 12}
    assert len(server.batches) == 2
    assert set(asked(server).values()) == {1}


def test_a_step_that_does_not_wait_ends_and_goes_on_when_it_is_run_again(
    server: OpenAIBatchServer, ledger: Ledger
) -> None:
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True) == {"BatchesUnderWay": 12}
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-2") == {"BatchesUnderWay": 12}
    assert len(server.batches) == 1
    assert [batch.owner for batch in batches.unattended(ledger)] == [None]
    server.finish()
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-3") == {"BatchesUnderWay": 12}
    server.finish()
    assert run(server, ledger, pace=NOT_WAITING, follow_up=True, run_id="run-4") == {"Answer": 12}
    assert len(server.batches) == 2
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_the_message_says_who_goes_on(server: OpenAIBatchServer, ledger: Ledger) -> None:
    [failure, *_] = asyncio.run(ask_all(server, ledger, pace=NOT_WAITING))
    assert isinstance(failure, BatchesUnderWay)
    assert "12 queries" in str(failure)
    assert "collect_batches" in str(failure)


def test_a_batch_whose_id_was_never_written_down_is_found_again(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(batches, "submitted", killed)
        assert run(server, ledger) == {"RuntimeError": 12}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 1
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_a_batch_that_was_never_handed_in_is_asked_anew(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, broken=True) == {"RuntimeError": 12}
    assert server.batches == {}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert set(asked(server).values()) == {1}
    with ledger.engine.connect() as connection:
        kinds = connection.exec_driver_sql("select error_kind, count(*) from results group by 1 order by 1").all()
    assert [tuple(row) for row in kinds] == [(None, 12), ("unreachable", 12)]
    assert nothing_is_left_open(ledger)


def test_what_a_batch_did_not_reach_in_time_is_in_the_next(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    server.expire(executed=5)
    assert run(server, ledger, pace=NOT_WAITING, run_id="run-2") == {"BatchesUnderWay": 7, "Answer": 5}
    server.finish()
    assert run(server, ledger, run_id="run-3") == {"Answer": 12}
    assert sum(server.executed.values()) == 12
    assert nothing_is_left_open(ledger)


def test_a_question_that_a_batch_cannot_answer_is_asked_directly(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    with ledger.engine.connect() as connection:
        [request_id, *_] = connection.execute(sa.select(schema.attempts.c.request_id)).scalars()
    server.line_faults[request_id] = Fault(status=400)
    server.finish()
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 1
    assert server.count == 13
    assert nothing_is_left_open(ledger)


def test_no_more_is_handed_in_than_a_budget_allows(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.ends_after_polls = 1
    found = run(server, ledger, budgets=Budgets(Budget(queries=8)))
    assert found == {"Answer": 8, "BudgetExhausted": 4}
    assert sum(asked(server).values()) == 8
    assert run(server, ledger, run_id="run-2", budgets=Budgets(Budget(queries=12))) == {"Answer": 12}
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_a_provider_that_is_away_or_refuses_a_batch_is_quoted(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.batch_faults.extend([BatchFault("GET", "/batches/", Fault(status=503))] * 9)
    [failure, *_] = asyncio.run(ask_all(server, ledger, pace=NOT_WAITING))
    assert isinstance(failure, BatchRefused)
    assert "503" in str(failure)
    server.batch_faults.clear()
    server.refuse({"code": "model_not_found", "message": "model m has no batch endpoint"})
    [failure, *_] = asyncio.run(ask_all(server, ledger, run_id="run-2"))
    assert isinstance(failure, BatchRefused)
    assert "no batch endpoint" in str(failure)
    assert nothing_is_left_open(ledger)


def test_two_runs_at_once_hand_in_each_question_once(server: OpenAIBatchServer, ledger: Ledger, tmp_path: Path) -> None:
    server.ends_after_polls = 3
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:

        async def both() -> list[Any]:
            runs = [ask_all(server, ours, run_id=f"run {n}") for n, ours in enumerate((ledger, other))]
            return [result for found in await asyncio.gather(*runs) for result in found]

        results = asyncio.run(both())
    assert Counter(type(result).__name__ for result in results) == {"Answer": 24}
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def expected_to_end(*arguments: Any, **options: Any) -> list[Any]:
    """What came of asking, which must not wait forever."""
    return asyncio.run(asyncio.wait_for(ask_all(*arguments, **options), timeout=10))


@pytest.mark.parametrize("broken", ["failures_in_batches", "claimants", "open_batch", "open_batches"])
def test_whatever_fails_before_the_handing_in_reaches_everyone_who_asked(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def locked(*_: object) -> None:
        raise LedgerError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(batches, broken, locked)
        assert Counter(type(each).__name__ for each in expected_to_end(server, ledger)) == {"LedgerError": 12}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert nothing_is_left_open(ledger)


def test_one_intent_that_cannot_be_written_ends_the_step_and_nothing_is_asked_twice(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, begun = Batching._begin, []

    async def fails_once(self: Batching, *arguments: Any) -> bool:
        begun.append(arguments)
        if len(begun) == 3:
            raise LedgerError("the ledger could not be written")
        return await begin(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Batching, "_begin", fails_once)
        assert Counter(type(each).__name__ for each in expected_to_end(server, ledger)) == {"LedgerError": 12}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert set(asked(server).values()) == {1}
    assert nothing_is_left_open(ledger)


def test_a_refused_batch_reaches_those_whose_batch_was_to_follow(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.llm.batching.split", partial(split, max_requests=5))
    server.batch_faults.append(BatchFault("POST", "/batches", Fault(status=403)))
    assert Counter(type(each).__name__ for each in expected_to_end(server, ledger)) == {"BatchRefused": 12}


@pytest.mark.parametrize("forgotten", ["batch", "output"])
def test_a_batch_that_the_provider_does_not_have_any_more_is_lost_and_the_run_goes_on(
    server: OpenAIBatchServer, ledger: Ledger, caplog: pytest.LogCaptureFixture, forgotten: str
) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    server.finish()
    [remote_id] = server.batches
    if forgotten == "batch":
        server.batch_faults.append(BatchFault("GET", f"/batches/{remote_id}", Fault(status=404)))
    else:
        server.batch_faults.append(BatchFault("GET", "/files/", Fault(status=404)))
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert f"does not have batch {remote_id} any more" in caplog.text
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("select status, count(*) from batches group by 1 order by 1").all() == [
            ("collected", 1),
            ("lost", 1),
        ]
    assert ledger.spent().queries == 24, "what was lost may have been billed: its reservation stays"
    assert nothing_is_left_open(ledger)


def test_a_running_batch_is_asked_about_by_its_id(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.ends_after_polls = 5
    assert run(server, ledger) == {"Answer": 12}
    assert server.calls["GET /batches"] == 0


def test_a_batch_that_appears_after_an_empty_search_is_not_handed_in_again(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(batches, "submitted", killed)
        assert run(server, ledger) == {"RuntimeError": 12}
    server.finish()
    empty = Fault(status=200, body='{"object": "list", "data": [], "has_more": false}')
    server.batch_faults.append(BatchFault("GET", "/batches?", empty))
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 1
    assert set(asked(server).values()) == {1}


def test_a_denied_line_ends_the_run_with_the_reason_and_the_next_run_tries_again(
    server: OpenAIBatchServer, ledger: Ledger
) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    with ledger.engine.connect() as connection:
        [request_id, *_] = connection.execute(sa.select(schema.attempts.c.request_id)).scalars()
    server.line_faults[request_id] = Fault(status=429, body='{"error": {"code": "insufficient_quota"}}')
    server.finish()
    found = asyncio.run(ask_all(server, ledger, run_id="run-2"))
    [refused] = [each for each in found if not isinstance(each, Answer)]
    assert isinstance(refused, BatchRefused)
    assert "insufficient_quota" in str(refused)
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-3") == {"Answer": 12}
    assert server.count == 13, "nothing was asked at the direct price"


def test_a_question_that_fails_in_three_batches_is_not_asked_at_the_direct_price(
    server: OpenAIBatchServer, ledger: Ledger
) -> None:
    for number in range(3):
        assert run(server, ledger, TEXTS[:1], pace=NOT_WAITING, run_id=f"run-{number}") == {"BatchesUnderWay": 1}
        server.expire(executed=0)
    [refused] = asyncio.run(ask_all(server, ledger, TEXTS[:1], run_id="run-3"))
    assert isinstance(refused, BatchRefused)
    assert "3 batch(es)" in str(refused)
    assert server.count == 3, "its lines"
    server.ends_after_polls = 1
    assert run(server, ledger, TEXTS[:1], run_id="run-4") == {"Answer": 1}


def test_a_batch_that_was_never_handed_in_is_no_try(server: OpenAIBatchServer, ledger: Ledger) -> None:
    for number in range(4):
        assert run(server, ledger, broken=True, run_id=f"run-{number}") == {"RuntimeError": 12}
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-5") == {"Answer": 12}
    assert len(server.batches) == 1
    assert server.count == 12


def test_a_step_waits_from_the_handing_in(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teams_dagster.llm.batching.QUIET_S", 2.2)
    server.ends_after_polls = 4
    assert run(server, ledger, pace=BatchPace(wait_s=2.0, poll_s=0.01)) == {"Answer": 12}


def test_waiting_for_another_run_writes_no_batches_and_names_the_other_ones(
    server: OpenAIBatchServer, ledger: Ledger, tmp_path: Path
) -> None:
    async def both(other: Ledger) -> list[Any]:
        first = asyncio.create_task(ask_all(server, ledger, pace=BatchPace(wait_s=2.5, poll_s=0.02)))
        while not server.batches:  # noqa: ASYNC110 - the server is another thread's
            await asyncio.sleep(0.01)
        found = await ask_all(server, other, pace=BatchPace(wait_s=0.5, poll_s=0.02), run_id="run-2")
        await first
        return found

    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:
        found = asyncio.run(both(other))
    [batch] = batches.open_batches(ledger)
    assert {type(each) for each in found} == {BatchesUnderWay}
    assert {each.batches for each in found} == {(batch.batch_id,)}
    with ledger.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.batches)).scalar() == 1


def test_a_batch_that_another_process_took_over_is_left_to_it(ledger: Ledger, tmp_path: Path) -> None:
    batch = batches.open_batch(
        ledger, Batch("b", "expert", "openai", "m", "u", "preparing", None, None, "run-1", "asset", None)
    )
    batches.give_back(ledger, batch.batch_id)
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as other:
        taken = batches.take(other, batch.batch_id)
        batches.give_back(ledger, batch.batch_id)
        with pytest.raises(LedgerError, match="took it over"):
            batches.submitted(ledger, batch.batch_id, "remote")
        with pytest.raises(LedgerError, match="took it over"):
            batches.close_batch(ledger, batch.batch_id, "lost")
        assert batches.open_batches(ledger) == [taken]


def test_nobody_waits_for_work_that_was_cancelled(
    server: OpenAIBatchServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(_: Batching) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Batching, "_hand_in", cancelled)
    assert Counter(type(each).__name__ for each in expected_to_end(server, ledger)) == {"CancelledError": 12}


MANY = [f"question {i}" for i in range(24)]

NO_MAX_TOKENS = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
NO_SYSTEM = "System role not supported"


def refusing(message: str, refused: Callable[[Body], bool]) -> Callable[[Body], Reply | Fault]:
    """Answers what is not `refused`."""
    error = Fault(400, json.dumps({"error": {"message": message}}))
    return lambda body: error if refused(body) else Reply(fine(body))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply("half", "length"), r"cut off at 100 tokens\. Raise TEAMS_EXPERT_MAX_TOKENS"),
        (Reply("<think>hm", "length"), "all thinking.*Raise TEAMS_EXPERT_MAX_TOKENS"),
        (Reply("half", "other"), "no finish reason.*TEAMS_EXPERT_BASE_URL"),
        (Reply("", "stop"), "were empty.*TEAMS_EXPERT_MODEL"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_batch_of_which_nothing_can_be_used_ends_the_step_as_direct_queries_do(
    server: OpenAIBatchServer, ledger: Ledger, reply: Reply, told: str, later: bool
) -> None:
    server.respond = lambda body: reply
    if later:
        assert run(server, ledger, MANY, pace=NOT_WAITING) == {"BatchesUnderWay": 24}
        server.finish()
    server.ends_after_polls = 1
    results = asyncio.run(ask_all(server, ledger, MANY, run_id="run-2"))
    with pytest.raises(NothingUsable, match=told):
        raise results[-1]


@pytest.mark.parametrize(
    ("respond", "written"),
    [
        (refusing(NO_MAX_TOKENS, lambda body: "max_tokens" in body), "max_completion_tokens"),
        (refusing(NO_SYSTEM, lambda body: body["messages"][0]["role"] == "system"), "max_tokens"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_what_a_batch_is_refused_for_is_written_otherwise_in_the_next(
    server: OpenAIBatchServer, ledger: Ledger, respond: Any, written: str, later: bool
) -> None:
    server.respond = respond
    if later:
        assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
        server.finish()
    server.ends_after_polls = 1
    assert run(server, ledger, run_id="run-2") == {"Answer": 12}
    assert len(server.batches) == 2
    assert server.count == 24, "nothing was asked at the direct price"
    assert written in server.received[-1]
    assert nothing_is_left_open(ledger)


def test_a_prompt_that_is_too_long_fails_alone(server: OpenAIBatchServer, ledger: Ledger) -> None:
    said = "This model's maximum context length is 40 tokens. However, your messages resulted in 60 tokens."
    server.respond = refusing(said, lambda body: "question 3" in body["messages"][-1]["content"])
    server.ends_after_polls = 1
    assert run(server, ledger, TEXTS[:5]) == {"Answer": 4, "QueryFailed": 1}
    assert nothing_is_left_open(ledger)


WRONG_KEY = Fault(401, '{"error": {"message": "who are you"}}')


@pytest.mark.parametrize(
    "fails", [BatchFault("POST", "/files", WRONG_KEY), BatchFault("POST", "/batches", WRONG_KEY), None]
)
def test_a_batch_that_a_wrong_key_keeps_from_being_answered_names_the_setting(
    server: OpenAIBatchServer, ledger: Ledger, fails: BatchFault | None
) -> None:
    server.ends_after_polls = 1
    if fails is None:
        server.respond = lambda body: WRONG_KEY
    else:
        server.batch_faults.append(fails)
    [failure, *_] = asyncio.run(ask_all(server, ledger))
    with pytest.raises(BatchRefused, match=r"who are you\..*TEAMS_EXPERT_API_KEY"):
        raise failure


def test_batches_that_cannot_be_asked_about_name_the_setting(server: OpenAIBatchServer, ledger: Ledger) -> None:
    server.batch_faults.append(BatchFault("GET", "/batches/", WRONG_KEY))
    [failure, *_] = asyncio.run(ask_all(server, ledger))
    with pytest.raises(BatchRefused, match=r"cannot be reached: denied.*TEAMS_EXPERT_API_KEY"):
        raise failure


def test_a_batch_that_the_provider_refuses_names_the_settings(server: OpenAIBatchServer, ledger: Ledger) -> None:
    assert run(server, ledger, pace=NOT_WAITING) == {"BatchesUnderWay": 12}
    for batch in server.batches.values():
        batch.status, batch.errors = "failed", [{"code": "model_not_found", "message": "no batches of m"}]
    [failure, *_] = asyncio.run(ask_all(server, ledger, run_id="run-2"))
    with pytest.raises(BatchRefused, match=r"no batches of m\..*TEAMS_EXPERT_MODEL.*TEAMS_EXPERT_TRANSPORT"):
        raise failure


def test_a_count_of_tokens_that_no_call_can_have_is_none_in_a_batch_too(
    server: OpenAIBatchServer, ledger: Ledger
) -> None:
    server.respond = lambda body: Reply("fine", completion_tokens=10_000_000)
    server.ends_after_polls = 1
    [answer] = asyncio.run(ask_all(server, ledger, TEXTS[:1]))
    assert answer.completion.usage.completion_tokens is None
