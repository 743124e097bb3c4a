"""A step whose replies of one kind are all unusable ends early, over a real ledger and a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import (
    Answer,
    Completion,
    Intent,
    Message,
    Outcome,
    Purpose,
    QueryFailed,
    Request,
    Role,
)
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.circuit import EndpointBroken
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.trial import AT_FIRST, TRIED, VERDICTS_AT_FIRST
from teams_dagster.llm.trials import Trials
from teams_dagster.llm.unusable import DECLINED, UNREADABLE, NothingUsable
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply, fine
from tests.support.questions import ask_all, question, rewrite

TEXTS = [f"text {number}" for number in range(200)]


def only_fine(request: Request, text: str) -> str | None:
    return None if text.startswith("fine") else UNREADABLE


@pytest.mark.parametrize(
    ("reply", "cause", "told"),
    [
        (
            Reply("half", finish_reason="length"),
            "truncated",
            r"cut off at 2,048 tokens\. Raise TEAMS_EXPERT_MAX_TOKENS",
        ),
        (Reply("<think>hm", finish_reason="length"), "reasoning_only", r"all thinking.*Raise TEAMS_EXPERT_MAX_TOKENS"),
        (Reply("half", finish_reason="other"), "unfinished", "no finish reason.*TEAMS_EXPERT_BASE_URL"),
        (Reply("", finish_reason="stop"), "empty", "were empty.*TEAMS_EXPERT_MODEL"),
        (Reply(None, refusal="No."), "refusal", "refused by the provider"),
    ],
)
def test_a_step_ends_after_twenty_replies_that_cannot_be_used(
    openai_server: OpenAIServer, ledger: Ledger, reply: Reply, cause: str, told: str
) -> None:
    openai_server.respond = lambda body: reply
    results = ask_all(openai_server, ledger, TEXTS)
    assert openai_server.count == TRIED
    ends = [result for result in results if isinstance(result, NothingUsable)]
    assert len(ends) == len(TEXTS) - TRIED + 1
    assert ends[0].cause == cause
    with pytest.raises(NothingUsable, match=told):
        raise ends[0]
    assert "\n" not in str(ends[0])


def test_a_text_that_is_not_in_the_form_asked_for_counts_likewise(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.respond = lambda body: "The two equal are indeed."
    results = ask_all(openai_server, ledger, TEXTS, fault=lambda request, text: UNREADABLE)
    assert openai_server.count == TRIED
    assert "not in the form that the prompt asks for" in str(results[-1])
    assert "The two equal are indeed." in str(results[-1])


@pytest.mark.parametrize(("usable", "in_vain"), [(1, 20), (2, 20), (3, 27), (5, 27), (10, 20)])
def test_few_usable_replies_do_not_buy_all_the_others(usable: int, in_vain: int) -> None:
    assert paid_until_it_ends(("fine", usable), ("cut off", 200)) == usable + in_vain


def test_a_limit_that_brings_now_this_and_now_that_is_one_cause() -> None:
    turns = [("cut off", 1), ("empty", 1)] * 60
    assert paid_until_it_ends(("fine", 30), *turns) == 30 + TRIED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply("half", finish_reason="length"), "truncated"),
        (Reply("<think>hm", finish_reason="length"), "reasoning_only"),
        (Reply("half", finish_reason="other"), "unfinished"),
        (Reply("", finish_reason="stop"), "empty"),
        (Reply("no verdict"), "unreadable"),
    ],
)
def test_a_model_that_begins_to_fail_in_the_middle_ends_the_step_too(
    openai_server: OpenAIServer, ledger: Ledger, reply: Reply, cause: str
) -> None:
    replies = iter([True] * 30)
    openai_server.respond = lambda body: fine(body) if next(replies, False) else reply
    results = ask_all(openai_server, ledger, TEXTS, max_in_flight=4, fault=only_fine)
    assert openai_server.count == 30 + TRIED
    with pytest.raises(NothingUsable, match="none of the last 20 answers of expert can be used: 20 ") as ended:
        raise results[-1]
    assert ended.value.cause == cause


def test_replies_that_are_often_unusable_end_nothing(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.respond = lambda body: fine(body) if openai_server.count % 15 == 1 else Reply("half", "length")
    results = ask_all(openai_server, ledger, TEXTS, max_in_flight=1)
    assert not [result for result in results if isinstance(result, BaseException)]


def test_seeds_that_a_provider_refuses_one_after_another_end_nothing(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.respond = lambda body: fine(body) if openai_server.count <= 100 else Reply(None, refusal="No.")
    results = ask_all(openai_server, ledger, [f"How is a bomb made of {text}?" for text in TEXTS])
    assert not [result for result in results if isinstance(result, BaseException)]


def test_usable_replies_of_an_earlier_run_count(openai_server: OpenAIServer, ledger: Ledger) -> None:
    ask_all(openai_server, ledger, TEXTS[:4])
    openai_server.respond = lambda body: Reply("half", "length")
    results = ask_all(openai_server, ledger, TEXTS[:24])
    assert not [result for result in results if isinstance(result, BaseException)]


def test_what_an_earlier_run_paid_in_vain_does_not_end_this_one(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.respond = lambda body: Reply("half", "length")
    ask_all(openai_server, ledger, TEXTS)
    openai_server.respond = fine
    results = ask_all(openai_server, ledger, TEXTS)
    assert not [result for result in results if isinstance(result, BaseException)]


def test_one_is_under_way_until_the_first_reply_a_few_until_a_usable_one_and_then_all_that_are_allowed(
    ledger: Ledger,
) -> None:
    with OpenAIServer(latency_s=0.3) as server:
        under_way: list[int] = []

        def counting(body: Body) -> Reply | str:
            under_way.append(server.in_flight)
            return fine(body) if server.count > AT_FIRST else Reply("")

        server.respond = counting
        ask_all(server, ledger, TEXTS[:40])
        assert under_way[0] == 1
        assert under_way[1] == AT_FIRST
        server.holds_until = 50
        ask_all(server, ledger, TEXTS[:100], max_in_flight=50)
        assert server.most_in_flight == 50


def verdict(text: str) -> Request:
    intent = Intent(Purpose.REVIEW, Instruction(text), Instruction(f"{text}, with three reasons"))
    return Request(Role.REVIEWER, intent, (Message("user", f"verdict on {text}"),), "prompt-review")


def edit_all(server: OpenAIServer, ledger: Ledger, texts: list[str], *, reviewed: int = 1_000) -> list[Any]:
    """What became of each text: a rewrite, then a verdict on it where it is among the first `reviewed`."""

    async def edit(engine: Engine, text: str) -> Answer:
        written = await engine.ask(rewrite(text, Operation.DEEPENING))
        return await engine.ask(verdict(text)) if texts.index(text) < reviewed else written

    async def editing() -> list[Any]:
        model = OpenAICompatibleModel("m", base_url=server.base_url)
        engine = Engine(
            {Role.INSTRUCTOR: model, Role.REVIEWER: model},
            ledger,
            CallContext("run-1", "asset"),
            load_prices(),
            fault=only_fine,
        )
        try:
            return await asyncio.gather(*[edit(engine, text) for text in texts], return_exceptions=True)
        finally:
            await engine.close()
            await model.close()

    return asyncio.run(editing())


def is_verdict(body: Body) -> bool:
    return body["messages"][-1]["content"].startswith("verdict")


@pytest.mark.parametrize(
    "said",
    [Reply("hm"), Reply("fine", "length"), Reply(""), Fault(400, '{"error": {"message": "I do not like this"}}')],
    ids=["unreadable", "cut off", "empty", "refused"],
)
def test_few_rewrites_are_paid_for_verdicts_that_cannot_be_used(ledger: Ledger, said: Reply | Fault) -> None:
    with OpenAIServer(latency_s=0.02) as server:
        server.respond = lambda body: said if is_verdict(body) else fine(body)
        results = edit_all(server, ledger, TEXTS)
        verdicts = sum(map(is_verdict, server.received))
        assert verdicts <= VERDICTS_AT_FIRST
        assert server.count <= 25
        assert sum(isinstance(result, Answer) for result in results) <= TRIED
        with pytest.raises((NothingUsable, EndpointBroken), match="TEAMS_REVIEWER_"):
            raise results[-1]


@pytest.mark.parametrize(("reviewed", "said"), [(1_000, "fine"), (0, "fine")])
def test_where_verdicts_can_be_used_or_are_not_asked_for_all_that_are_allowed_are_under_way(
    ledger: Ledger, reviewed: int, said: str
) -> None:
    with OpenAIServer(latency_s=0.02) as server:

        def respond(body: Body) -> str | Reply:
            if server.count == 60:
                server.holds_until = 2 * AT_FIRST
            return said if is_verdict(body) else fine(body)

        server.respond = respond
        assert all(isinstance(result, Answer) for result in edit_all(server, ledger, TEXTS, reviewed=reviewed))
        assert server.most_in_flight >= 2 * AT_FIRST


def test_a_kind_that_nobody_asks_any_more_holds_up_no_other() -> None:
    trials = Trials(only_fine)

    async def ask(request: Request, said: str) -> None:
        async with trials.turn(request):
            trials.answered(request, Completion(said, "stop", Outcome.USABLE))

    async def asking() -> int:
        await ask(verdict("text"), "hm")
        for number in range(TRIED):
            await ask(rewrite(f"text {number}", Operation.DEEPENING), f"fine: {number}")
        async with AsyncExitStack() as under_way:
            for number in range(2 * AT_FIRST):
                turn = trials.turn(rewrite(f"text {number}", Operation.DEEPENING))
                try:
                    await asyncio.wait_for(under_way.enter_async_context(turn), 0.05)
                except TimeoutError:
                    return number
        return 2 * AT_FIRST

    assert asyncio.run(asking()) == 2 * AT_FIRST


SORRY = "I'm sorry, but I can't help with that."
SAID = {
    "fine": [f"About {number}." for number in range(500)],
    "ok": ["ok", "OK.", " Ok!"] * 100,
    "sorry": [SORRY] * 300,
}
SAID |= {"negative": ["negative"] * 300, "yes or no": [("Yes", "No")[number % 7 % 2] for number in range(300)]}
CANNED = [f"I am assistant {number}, and glad to be of help." for number in range(5)]
SAID |= {"in turn": CANNED[:2] * 150, "of five": CANNED * 60, "echo": ["echo"] * 300}
SAID |= {"refused": [None] * 300, "cut off": [""] * 300, "empty": [" "] * 300}


def paid_until_it_ends(
    *parts: tuple[str, int], stored: tuple[str, int] = ("ok", 0), role: Role = Role.EXPERT
) -> int | None:
    """How many replies, of these sorts in this order, a step takes until it ends; None where it does not."""
    trials = Trials(lambda request, text: DECLINED if text == SORRY else None)
    earlier = [(f"earlier {number}", said) for number, said in enumerate(SAID[stored[0]][: stored[1]])]
    for asked, said in earlier:
        trials.reused(question(asked, role=role), Completion(str(said), "stop", Outcome.USABLE))
    replies = [said for sort, many in parts for said in SAID[sort][:many]]
    for paid, said in enumerate(replies, start=1):
        said = f"Text {paid}." if said == "echo" else said
        outcome = {None: Outcome.REFUSAL, "": Outcome.TRUNCATED, " ": Outcome.EMPTY}.get(said, Outcome.USABLE)
        if trials.answered(question(f"text {paid}", role=role), Completion(said or "", "stop", outcome)) is not None:
            return paid
    return None


@pytest.mark.parametrize(
    ("parts", "paid"),
    [
        ([("sorry", 60)], TRIED),
        ([("ok", 60)], TRIED),
        ([("cut off", 5), ("sorry", 60)], TRIED),
        ([("fine", 1), ("sorry", 60)], 1 + TRIED),
        ([("fine", 1), ("refused", 60)], 1 + TRIED),
        ([("fine", 80), ("ok", 60)], 80 + TRIED),
        ([("fine", 80), ("cut off", 60)], 80 + TRIED),
        ([("yes or no", 80), ("sorry", 80)], 80 + TRIED),
        ([("fine", 30), ("sorry", 270)], 30 + TRIED),
        ([("fine", 80), ("refused", 80)], 80 + TRIED),
        ([("sorry", 10), ("fine", 1), ("sorry", 10), ("fine", 10), ("sorry", 30)], None),
        ([("in turn", 60)], TRIED),
        ([("fine", 80), ("in turn", 60)], 80 + TRIED),
        ([("of five", 60)], TRIED),
        ([("fine", 30), ("of five", 60)], 30 + TRIED),
        ([("echo", 60)], TRIED),
        ([("fine", 80), ("echo", 60)], 80 + TRIED),
        ([("yes or no", 300)], None),
        ([("fine", 300)], None),
    ],
)
def test_refusals_in_words_and_one_text_for_everything_end_a_step_where_they_are_nearly_all_there_is(
    parts: list[tuple[str, int]], paid: int | None
) -> None:
    assert paid_until_it_ends(*parts) == paid


def test_one_text_that_an_earlier_run_was_ended_for_is_meant_when_it_goes_on() -> None:
    assert paid_until_it_ends(("negative", 200)) == TRIED
    assert paid_until_it_ends(("negative", 200), stored=("negative", TRIED)) is None
    assert paid_until_it_ends(("negative", 200), stored=("fine", TRIED)) == TRIED
    assert paid_until_it_ends(("in turn", 200), stored=("in turn", TRIED)) is None
    assert paid_until_it_ends(("cut off", 200), stored=("fine", TRIED)) == TRIED


def test_replies_that_are_meant_to_be_alike_and_those_to_one_query_asked_again_end_nothing() -> None:
    trials = Trials(lambda request, text: None)
    for number in range(60):
        again = trials.answered(question("text", replica=number), Completion("ok", "stop", Outcome.USABLE))
        equal = trials.answered(verdict(f"text {number}"), Completion("Equal", "stop", Outcome.USABLE))
        assert again is equal is None
    assert paid_until_it_ends(("ok", 60), role=Role.GUIDE) is None


@pytest.mark.parametrize(("said", "sent_after"), [(Outcome.TRUNCATED, 0), (Outcome.REFUSAL, 0), (Outcome.USABLE, 8)])
def test_nothing_is_sent_after_a_bad_reply_while_enough_are_on_their_way_to_tell_whether_the_model_still_works(
    said: Outcome, sent_after: int
) -> None:
    """A good reply among them lets the rest go on."""
    trials = Trials(lambda request, text: None)
    for number in range(80):
        trials.answered(question(f"text {number}"), Completion(f"fine {number}", "stop", Outcome.USABLE))

    async def send(under_way: AsyncExitStack, times: int) -> int:
        """How many of so many queries are sent at once."""
        for number in range(times):
            try:
                await asyncio.wait_for(under_way.enter_async_context(trials.sending(question("text"))), 0.05)
            except TimeoutError:
                return number
        return times

    async def sending() -> tuple[int, int]:
        async with AsyncExitStack() as under_way:
            assert await send(under_way, 32) == 32
            trials.answered(question("bad"), Completion("half", "stop", said))
            after = await send(under_way, 8)
            trials.answered(question("good"), Completion("whole", "stop", Outcome.USABLE))
            return after, await send(under_way, 8)

    assert asyncio.run(sending()) == (sent_after, 8)


def test_a_guide_may_be_cut_off_and_may_say_the_same_of_each_text() -> None:
    """Who asks a guide limits its replies to the words that it needs."""
    trials = Trials(only_fine)
    ends = [
        trials.answered(question(f"text {number}", role=Role.GUIDE), Completion("fine", "length", Outcome.TRUNCATED))
        for number in range(60)
    ]
    assert set(ends) == {None}


def test_rewrites_go_on_where_no_verdict_is_asked_for_while_one_is_tried(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    """A verdict that could not be used holds up no more than the width: the next ones come of further rewrites."""
    openai_server.respond = lambda body: "hm" if is_verdict(body) and openai_server.count < 20 else fine(body)
    results = edit_all(openai_server, ledger, TEXTS[:60])
    assert all(isinstance(result, Answer) for result in results)


def test_what_an_endpoint_does_not_take_is_found_out_by_one_query_and_not_by_all_the_first(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    def particular(body: Body) -> Reply | Fault:
        if body["messages"][0]["role"] == "system":
            return Fault(400, '{"error": {"message": "System role not supported"}}')
        if "max_tokens" in body:
            return Fault(400, '{"error": {"message": "Unknown parameter: max_tokens"}}')
        return Reply("half", "length")

    openai_server.respond = particular
    results = ask_all(openai_server, ledger, TEXTS)
    assert openai_server.count == TRIED + 2
    with pytest.raises(NothingUsable, match="cut off at"):
        raise results[-1]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(401, '{"error": {"message": "no such key"}}'), "no such key.*TEAMS_EXPERT_API_KEY"),
        (Fault(404, '{"detail": "Not Found"}'), r"Not Found.*TEAMS_EXPERT_BASE_URL \(is a path like /v1 missing"),
        (Fault(404, '{"error": {"message": "no model m", "code": "model_not_found"}}'), "TEAMS_EXPERT_MODEL"),
        (Fault(400, '{"error": {"message": "I do not like this"}}'), "I do not like this.*TEAMS_EXPERT_OMIT"),
        (Fault(400, '{"error": {"message": "temperature is not supported"}}'), "TEAMS_EXPERT_OMIT=temperature"),
        (Fault(429, '{"error": {"message": "enough"}}', headers={"Retry-After": "86400"}), "left alone until"),
        (Fault(429, '{"error": {"message": "the requests of the day are used up"}}'), "quota of the account"),
        (Fault(429, '{"error": {"message": "You have reached your weekly limit"}}'), "weekly.*quota of the account"),
        (Fault(429, '{"error": {"message": "quota exceeded for this month"}}'), "month.*TEAMS_EXPERT_API_KEY"),
        (Fault(200, '{"error": "Daily token limit reached"}'), "Daily.*TEAMS_EXPERT_API_KEY"),
        (Fault(200, '{"error": {"code": 401, "message": "no such key"}}'), "no such key.*TEAMS_EXPERT_API_KEY"),
    ],
)
def test_an_endpoint_that_answers_nobody_is_found_out_by_the_first_few(
    openai_server: OpenAIServer, ledger: Ledger, fault: Fault, told: str
) -> None:
    openai_server.faults.extend([fault] * 1_000)
    results = ask_all(openai_server, ledger, TEXTS[:64], attempts=2)
    assert openai_server.count <= 18
    assert {type(result) for result in results} <= {EndpointBroken, QueryFailed}
    with pytest.raises(EndpointBroken, match=told):
        raise results[-1]


def test_answers_that_a_server_breaks_off_are_not_paid_again_and_again(
    openai_server: OpenAIServer, ledger: Ledger
) -> None:
    openai_server.respond = lambda body: Reply("half", finish_reason="error")
    results = ask_all(openai_server, ledger, TEXTS[:64])
    assert openai_server.count <= 25
    with pytest.raises(EndpointBroken, match=r"broke its answer off.*TEAMS_EXPERT_MODEL"):
        raise results[-1]


def streamed(*events: object) -> Fault:
    return Fault(200, "".join(f"data: {json.dumps(event)}\n\n" for event in events), "text/event-stream")


HALF = {"choices": [{"index": 0, "delta": {"content": "Half of"}}]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (streamed(HALF, {"error": {"message": "upstream went away"}}), "upstream went away.*TEAMS_EXPERT_MODEL"),
        (streamed(HALF, {"error": {"message": "upstream went away", "code": 502}}), "upstream.*TEAMS_EXPERT_MODEL"),
        (streamed({"error": {"message": "upstream went away", "code": 502}}), "upstream.*TEAMS_EXPERT_BASE_URL"),
        (streamed({"error": "upstream went away"}), "upstream.*TEAMS_EXPERT_BASE_URL"),
        (streamed(HALF, {"error": {"message": "who are you", "code": 401}}), "who are you.*TEAMS_EXPERT_API_KEY"),
        (Fault(500), "on fire.*TEAMS_EXPERT_BASE_URL"),
        (Fault(disconnect=True), "TEAMS_EXPERT_BASE_URL"),
        (Fault(200, '{"message": "out of order"}'), "out of order.*TEAMS_EXPERT_BASE_URL"),
        (Fault(429, '{"error": {"message": "Please try again in 7h12m0s"}}'), "left alone until.*TEAMS_EXPERT_API_KEY"),
        (Fault(503, headers={"Retry-After": "7200"}), "left alone until.*TEAMS_EXPERT_BASE_URL"),
    ],
)
def test_whatever_trouble_an_endpoint_has_from_the_start_costs_twenty_five_requests_at_most(
    openai_server: OpenAIServer, ledger: Ledger, fault: Fault, told: str
) -> None:
    openai_server.respond = lambda body: fault
    results = ask_all(openai_server, ledger, TEXTS[:64])
    assert openai_server.count <= 25
    with pytest.raises(EndpointBroken, match=told):
        raise results[-1]


def test_a_single_query_that_is_denied_names_the_settings_to_check(openai_server: OpenAIServer, ledger: Ledger) -> None:
    openai_server.faults.append(Fault(401, '{"error": {"message": "no such key."}}'))
    (failed,) = ask_all(openai_server, ledger, TEXTS[:1])
    advice = "Check TEAMS_EXPERT_API_KEY: it is wrong, or has expired. (Where the role has none: TEAMS_API_KEY.)"
    assert failed.detail == f"HTTP 401: no such key. {advice}"


@pytest.mark.parametrize("status", [429, 503])
def test_a_single_query_that_is_put_off_for_a_day_names_the_hour(
    openai_server: OpenAIServer, ledger: Ledger, status: int
) -> None:
    openai_server.faults.append(Fault(status, headers={"Retry-After": "86400"}))
    (failed,) = ask_all(openai_server, ledger, TEXTS[:1])
    assert "left alone until" in failed.detail
