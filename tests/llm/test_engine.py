"""The engine over a real ledger and a real HTTP server. The server's counters are the truth."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, ErrorKind, Outcome, QueryFailed, Role
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import engine as engine_module
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.llm.endpoint import made_ready
from teams_dagster.llm.engine import Engine, RoleNotConfigured
from teams_dagster.pricing.prices import Price, PriceTable, load_prices
from tests.support.openai_server import Fault, OpenAIServer, Reply
from tests.support.questions import question, rewrite

RUN = CallContext("run-1", "expert_responses", "2026-11-16")


def run(
    server: OpenAIServer | str,
    ledger: Ledger,
    work: Callable[[Engine], Any],
    *,
    context: CallContext = RUN,
    **options: Any,
) -> Any:
    """What the coroutine `work(engine)` returns, in an event loop of its own."""

    async def steps() -> Any:
        base_url = server if isinstance(server, str) else server.base_url
        model = OpenAICompatibleModel("m", base_url=base_url)
        engine = Engine(
            {Role.EXPERT: model, Role.INSTRUCTOR: model}, ledger, context, load_prices(), first_wait_s=0.01, **options
        )
        try:
            return await work(engine)
        finally:
            await engine.close()
            await model.close()

    return asyncio.run(steps())


def rows(ledger: Ledger, query: str) -> list[tuple[Any, ...]]:
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_an_answer_is_on_the_ledger_when_the_asker_sees_it(openai_server: OpenAIServer, ledger: Ledger) -> None:
    async def work(engine: Engine) -> tuple[Answer, list]:
        answer = await engine.ask(question(), transition_id="t-1")
        with sqlite3.connect(str(ledger.engine.url.database)) as other:
            return answer, other.execute("select request_id, request_key, text from answers").fetchall()

    answer, stored = run(openai_server, ledger, work)
    assert stored == [(answer.request_id, answer.request_key, answer.completion.text)]
    assert not answer.reused


def test_the_intent_is_on_the_ledger_before_the_server_hears_of_it(openai_server: OpenAIServer, ledger: Ledger) -> None:
    seen: list[int] = []

    def respond(body: dict) -> str:
        with sqlite3.connect(str(ledger.engine.url.database)) as other:
            seen.extend(other.execute("select count(*) from attempts").fetchone())
        return "fine"

    openai_server.respond = respond
    run(openai_server, ledger, lambda engine: engine.ask(question()))
    assert seen == [1]


def test_a_row_says_who_asked_for_what(openai_server: OpenAIServer, ledger: Ledger) -> None:
    ask = rewrite("Name a colour.", Operation.DEEPENING)
    run(openai_server, ledger, lambda engine: engine.ask(ask, transition_id="t-1"))
    place = "role, purpose, operation, provider, model, run_id, asset_key, partition_key, transition_id, sample_id"
    expected = (
        "instructor",
        "rewrite",
        "deepening",
        "openai",
        "m",
        "run-1",
        "expert_responses",
        "2026-11-16",
        "t-1",
        None,
    )
    assert rows(ledger, f"select {place} from attempts") == [expected]
    assert rows(ledger, f"select {place} from uses") == [expected]


def test_what_was_sent_is_kept_for_a_replay(openai_server: OpenAIServer, ledger: Ledger) -> None:
    asked = question("Quote \u201cthis\u201d, \u00e9 and \U0001f600.")
    answer = run(openai_server, ledger, lambda engine: engine.ask(asked))
    assert ledger.messages(answer.request_key) == asked.messages
    assert ledger.messages("never asked") is None


def test_the_same_question_is_paid_once_in_this_process_and_the_next(
    openai_server: OpenAIServer, ledger: Ledger, tmp_path: Path
) -> None:
    async def crowd(engine: Engine) -> list[Answer]:
        return await asyncio.gather(*[engine.ask(question(f"{i % 5}"), transition_id=f"t-{i}") for i in range(50)])

    first = run(openai_server, ledger, crowd)
    assert openai_server.count == 5
    assert sum(not answer.reused for answer in first) == 5
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as reopened:
        again = run(openai_server, reopened, crowd, context=CallContext("run-2", "expert_responses"))
    assert openai_server.count == 5
    assert all(answer.reused for answer in again)
    assert [a.completion for a in again] == [a.completion for a in first]
    assert [a.request_id for a in again] == [a.request_id for a in first]
    assert rows(ledger, "select run_id, count(*), sum(reused) from uses group by run_id") == [
        ("run-1", 50, 45),
        ("run-2", 50, 50),
    ]


def test_a_question_is_paid_once_however_many_others_came_between(
    openai_server: OpenAIServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "KEPT_ANSWERS", 2)

    async def in_turn(engine: Engine) -> list[tuple[str, bool]]:
        asked = [(text, await engine.ask(question(text), transition_id=f"t-{i}")) for i, text in enumerate("abbcdac")]
        return [(text, answer.reused) for text, answer in asked]

    reused = run(openai_server, ledger, in_turn)
    assert "".join(text for text, again in reused if not again) == "abcd"
    assert openai_server.count == 4
    assert rows(ledger, "select count(*), sum(reused) from uses") == [(7, 3)]


def test_another_replica_is_another_question(openai_server: OpenAIServer, ledger: Ledger) -> None:
    async def work(engine: Engine) -> list[str]:
        return [(await engine.ask(question(replica=replica))).completion.text for replica in (0, 1)]

    first, second = run(openai_server, ledger, work)
    assert first != second


def test_a_step_that_runs_again_does_not_count_its_questions_twice(openai_server: OpenAIServer, ledger: Ledger) -> None:
    for _ in range(3):
        run(openai_server, ledger, lambda engine: engine.ask(question(), transition_id="t-1"))
    assert rows(ledger, "select count(*), sum(reused) from uses") == [(1, 0)]


def test_every_attempt_is_a_row_and_errors_that_may_pass_are_tried_again(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.faults.extend([Fault(status=500), Fault(disconnect=True), Fault(status=429)])
    answer = run(openai_server, ledger, lambda engine: engine.ask(question()))
    assert answer.completion.outcome is Outcome.USABLE
    assert openai_server.count == 4
    assert rows(
        ledger,
        "select attempt, status, error_kind, http_status from attempts join results using (request_id) order by 1",
    ) == [
        (1, "failed", "server", 500),
        (2, "failed", "connection", None),
        (3, "failed", "rate_limited", 429),
        (4, "ok", None, None),
    ]
    assert rows(ledger, "select outcome, reused, request_id from uses") == [("usable", 0, answer.request_id)]


def test_the_pause_a_server_asks_for_is_kept(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.append(Fault(status=429, headers={"Retry-After": "0.7"}))
    began = time.monotonic()
    run(openai_server, ledger, lambda engine: engine.ask(question()))
    assert time.monotonic() - began >= 0.7


def test_a_pause_beyond_patience_ends_the_question(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.append(Fault(status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(QueryFailed):
        run(openai_server, ledger, lambda engine: engine.ask(question()))
    assert openai_server.count == 1


def test_a_rejected_request_is_not_repeated(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.append(Fault(status=400))
    with pytest.raises(QueryFailed) as failure:
        run(openai_server, ledger, lambda engine: engine.ask(question()))
    assert (failure.value.kind, failure.value.attempts, openai_server.count) == (ErrorKind.REJECTED, 1, 1)


def test_a_failure_is_on_the_ledger_and_never_an_answer(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.extend([Fault(status=500)] * 6)

    async def crowd(engine: Engine) -> list[Any]:
        asks = [engine.ask(question(), transition_id=f"t-{i}") for i in range(3)]
        failures = await asyncio.gather(*asks, return_exceptions=True)
        assert engine.tallies.failed == 3
        return failures

    failures = run(openai_server, ledger, crowd)
    assert [type(failure) for failure in failures] == [QueryFailed] * 3
    assert openai_server.count == 6
    assert rows(ledger, "select outcome, error_kind, request_id from uses") == [("failed", "server", None)] * 3
    assert rows(ledger, "select * from answers") == []
    assert run(openai_server, ledger, lambda engine: engine.ask(question())).completion.outcome is Outcome.USABLE


def test_an_attempt_that_never_arrived_says_so(ledger: Ledger) -> None:
    with pytest.raises(QueryFailed):
        run("http://127.0.0.1:9/v1", ledger, lambda engine: engine.ask(question()), attempts=2)
    assert rows(ledger, "select status, error_kind from results") == [("failed", "unreachable")] * 2


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(""), "empty"),
        (Reply("half", finish_reason="length"), "truncated"),
        (Reply(None, refusal="No."), "refusal"),
        (Reply("a\x00b\ud800"), "malformed"),
    ],
)
def test_a_billed_answer_of_any_outcome_is_stored_paid_and_reused(
    openai_server: OpenAIServer, ledger: Ledger, reply: Reply, outcome: str
) -> None:
    openai_server.respond = lambda body: reply
    for _ in range(2):
        answer = run(openai_server, ledger, lambda engine: engine.ask(question()))
        assert answer.completion.outcome == outcome
    assert openai_server.count == 1
    assert rows(ledger, "select status, outcome, completion_tokens from results") == [("ok", outcome, 5)]


def test_a_role_without_a_model_names_the_variable_to_set(ledger: Ledger, openai_server: OpenAIServer) -> None:
    with pytest.raises(RoleNotConfigured, match="TEAMS_REVIEWER_MODEL"):
        run(openai_server, ledger, lambda engine: engine.ask(question(role=Role.REVIEWER)))


@pytest.mark.slow
def test_no_more_calls_are_in_flight_than_allowed(ledger: Ledger) -> None:
    with OpenAIServer(latency_s=0.1) as server:

        async def crowd(engine: Engine) -> None:
            await engine.ask(question("until one is usable, fewer are under way"))
            server.holds_until = 20
            await asyncio.gather(*[engine.ask(question(str(i))) for i in range(60)])

        run(server, ledger, crowd, max_in_flight=20)
        assert server.most_in_flight == 20


def test_roles_of_one_model_share_its_limit_whatever_settings_add_to_their_requests(ledger: Ledger) -> None:
    with OpenAIServer(latency_s=0.1) as server:

        async def crowd() -> None:
            models = {
                role: OpenAICompatibleModel("m", base_url=server.base_url, max_tokens=tokens)
                for role, tokens in ((Role.EXPERT, 100), (Role.INSTRUCTOR, 200))
            }
            engine = Engine(models, ledger, RUN, load_prices(), max_in_flight=4)
            await asyncio.gather(*[engine.ask(question(str(i), role=role)) for i in range(12) for role in models])
            await engine.close()
            for model in models.values():
                await model.close()

        asyncio.run(crowd())
        assert server.most_in_flight == 4


def test_a_cancelled_asker_leaves_the_paid_answer(ledger: Ledger) -> None:
    with OpenAIServer(latency_s=0.3) as server:

        async def work(engine: Engine) -> Answer:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.ask(question()), 0.1)
            return await engine.ask(question(), transition_id="another")

        assert run(server, ledger, work).reused
        assert server.count == 1


def test_answers_do_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    texts = [f"question {i}" for i in range(40)]
    seen = []
    for concurrency, order in ((1, texts), (40, texts[::-1])):
        with (
            OpenAIServer(latency_s=0.001) as server,
            Ledger(sqlite_url(tmp_path / f"{concurrency}.sqlite")) as ledger,
        ):

            async def crowd(engine: Engine, order: list[str] = order) -> dict[str, str]:
                answers = await asyncio.gather(*[engine.ask(question(text)) for text in order])
                return {text: answer.completion.text for text, answer in zip(order, answers, strict=True)}

            seen.append(run(server, ledger, crowd, max_in_flight=concurrency))
    assert seen[0] == seen[1]


def test_one_engine_serves_one_event_loop_after_another(openai_server: OpenAIServer, ledger: Ledger) -> None:
    model = OpenAICompatibleModel("m", base_url=openai_server.base_url)
    engine = Engine({Role.EXPERT: model}, ledger, RUN, load_prices(), max_in_flight=1)

    async def pair(start: int) -> None:
        await asyncio.gather(*[engine.ask(question(str(start + i))) for i in range(3)])

    asyncio.run(pair(0))
    asyncio.run(pair(10))
    assert openai_server.count == 6


KILLED = """
import asyncio, sys
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Role
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.questions import question

async def main(base_url, url, run_id):
    engine = Engine({Role.EXPERT: OpenAICompatibleModel("m", base_url=base_url)}, Ledger(url),
                    CallContext(run_id, "asset"), load_prices(), max_in_flight=16)
    async def one(i):
        answer = await engine.ask(question(f"question {i}"), transition_id=str(i))
        print(answer.request_key, flush=True)
    await asyncio.gather(*[one(i) for i in range(400)])

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_killed_process_loses_at_most_its_calls_in_flight(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    root = str(Path(__file__).resolve().parents[2])

    def start(server: OpenAIServer, run_id: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KILLED, server.base_url, url, run_id]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)

    with OpenAIServer(latency_s=0.03) as server:
        process = start(server, "run-1")
        assert process.stdout is not None
        seen = {process.stdout.readline().strip() for _ in range(60)}
        process.send_signal(signal.SIGKILL)
        seen |= {line.strip() for line in process.stdout if len(line) == 33}
        process.wait()
        received = server.count
        with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
            stored = {key for (key,) in ledger.execute("select request_key from answers")}
            ok = ledger.execute("select count(*) from results where status = 'ok'").fetchone()[0]
            attempts = ledger.execute("select count(*) from attempts").fetchone()[0]
        unresolved = attempts - ok
        assert 60 <= len(seen) < 400
        assert seen <= stored
        assert unresolved <= 16 + made_ready(16)
        assert ok <= received <= ok + unresolved
        rest = start(server, "run-2")
        assert len(set(rest.communicate()[0].split())) == 400
        assert server.count - received == 400 - len(stored)


def test_a_reply_may_take_what_its_role_allows_and_the_querys_key_stays(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    first = run(openai_server, ledger, lambda engine: engine.ask(question()))
    again = run(openai_server, ledger, lambda engine: engine.ask(question()), reply_limits={Role.EXPERT: lambda _: 99})
    assert (again.request_key, again.reused) == (first.request_key, True)
    run(openai_server, ledger, lambda engine: engine.ask(question("new")), reply_limits={Role.EXPERT: lambda _: 99})
    assert [body["max_tokens"] for body in openai_server.received] == [2048, 99]
    assert rows(ledger, "select max_tokens from questions order by seq") == [(2048,), (99,)]
    assert rows(ledger, "select reserved_tokens from attempts order by seq")[1][0] < 2048


def test_a_refusal_that_the_connection_adapts_to_is_an_attempt_that_is_tried_again_at_once(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.faults.append(Fault(400, '{"error": {"message": "Unsupported parameter: max_tokens"}}'))
    answer = run(openai_server, ledger, lambda engine: engine.ask(question()), attempts=1)
    assert answer.completion.outcome is Outcome.USABLE
    assert rows(ledger, "select status, error_kind from results order by seq") == [
        ("failed", "rejected"),
        ("ok", None),
    ]


def asked_twice(server: OpenAIServer, ledger: Ledger, prices: PriceTable) -> Tallies:
    """What an engine tells that asks one query two times."""

    async def asking() -> Engine:
        model = OpenAICompatibleModel("m", base_url=server.base_url)
        engine = Engine({Role.EXPERT: model}, ledger, RUN, prices)
        await engine.ask(question())
        await engine.ask(question())
        await engine.close()
        await model.close()
        return engine

    return asyncio.run(asking()).tallies


def test_what_a_reused_answer_had_cost_is_counted_once(openai_server: OpenAIServer, ledger: Ledger) -> None:
    """So that progress can say what a pair cost, whoever paid for its parts."""
    prices = PriceTable((Price("*", "*", "*", 3, 2),))
    first, second = asked_twice(openai_server, ledger, prices), asked_twice(openai_server, ledger, prices)
    assert first.cost_nano_usd > 0
    assert first.reused_nano_usd == 0
    assert (second.cost_nano_usd, second.reused_nano_usd, second.reused) == (0, first.cost_nano_usd, 2)
    assert second.reused_unpriced == 0


def test_a_reused_answer_whose_price_is_not_known_is_counted_once(openai_server: OpenAIServer, ledger: Ledger) -> None:
    first, second = (asked_twice(openai_server, ledger, PriceTable(())) for _ in range(2))
    assert (first.unpriced, first.reused_unpriced) == (1, 0)
    assert (second.unpriced, second.reused_unpriced) == (0, 1)
