"""The engine: many queries in flight, each answer durable before it is used, none asked twice, none beyond a budget.

A query's way: a stored answer is used at once. Otherwise it waits for its turn at the model (circuit, concurrency,
rate), then claim, reservation and intent are written in one transaction, then it is sent.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace

from teams_dagster.core.protocol import (
    Answer,
    CompletionError,
    ErrorKind,
    LanguageModel,
    ModelIdentity,
    Outcome,
    QueryFailed,
    Request,
    Role,
)
from teams_dagster.ledger.budgets import Budgets, Exhausted, Limit, Reservation
from teams_dagster.ledger.entries import BeginAttempt, Claimed, LookUp, Release, Reuse, Unanswered
from teams_dagster.ledger.owners import batch_of
from teams_dagster.ledger.records import Attempt, Place, Question, StoredAnswer, Use
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batches import BatchEndpoint
from teams_dagster.llm.batching import BatchesUnderWay, Batching, BatchPace
from teams_dagster.llm.budget_gate import BudgetGate, reserve
from teams_dagster.llm.circuit import EndpointBroken, given_up
from teams_dagster.llm.concurrency import AdaptiveLimit
from teams_dagster.llm.constraints import as_asked_for, as_sent, judged_by
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.llm.endpoint import UNPACED, Endpoint, RateCeiling, made_ready
from teams_dagster.llm.keys import request_key, use_id
from teams_dagster.llm.retries import RetryPolicy
from teams_dagster.llm.settling import OpenAttempt, Settlement, with_possible_usage
from teams_dagster.llm.trials import Trials
from teams_dagster.llm.unusable import NothingUsable
from teams_dagster.pricing.prices import PriceTable

CLAIM_POLLS_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses between looks for an answer that somebody else is asking for; then whether they still live."""

KEPT_ANSWERS = 8_192
"""Answers that an engine remembers, the latest ones: some 16 MB. What it asks again is not looked up again."""

_NOT_SENT = CompletionError(ErrorKind.UNREACHABLE, "not sent: the step ended before its turn came")


class RoleNotConfigured(LookupError):
    """A role was asked that no model serves."""

    def __init__(self, role: Role) -> None:
        name = f"TEAMS_{role.name}"
        super().__init__(
            f"no model is configured for the role {role.value}: set {name}_MODEL (with {name}_BASE_URL and "
            f"{name}_API_KEY where it needs them), or {name}_PROVIDER=offline"
        )


@dataclass(frozen=True)
class _Asking:
    """A query on its way."""

    endpoint: Endpoint
    question: Question
    reservation: Reservation
    use: Use

    @property
    def request(self) -> Request:
        return self.question.request


class Engine:
    """Asks the models of a step's roles and accounts for it. Implements `protocol.LLMClient`, on one event loop."""

    def __init__(
        self,
        models: Mapping[Role, LanguageModel],
        ledger: Ledger,
        context: CallContext,
        prices: PriceTable,
        *,
        max_in_flight: int = 64,
        attempts: int = 6,
        first_wait_s: float = 0.5,
        budgets: Budgets | None = None,
        ceilings: Mapping[Role, RateCeiling] | None = None,
        batches: Mapping[Role, BatchEndpoint] | None = None,
        batch_pace: BatchPace | None = None,
        reply_limits: Mapping[Role, Callable[[Request], int]] | None = None,
        fault: Callable[[Request, str], str | None] = lambda request, text: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`max_in_flight` bounds the calls to one model; `attempts` those for one query.

        Refusals for overload are no attempts. `first_wait_s` doubles after each failure, with jitter. The roles in
        `batches` are asked through them. `reply_limits` gives the tokens that a reply may take where a role's model
        reads a limit; it is no part of a query's key, so that a stored answer is reused whatever the limit was.
        `fault` says why a whole text is no reply to its request; `say` is told what slows the step down.
        """
        self.tallies = Tallies()
        limits = {model.identity.server: AdaptiveLimit(max_in_flight) for model in models.values()}
        self._endpoints = {
            role: Endpoint(
                model,
                role,
                limits[model.identity.server],
                made_ready(max_in_flight),
                (ceilings or {}).get(role, UNPACED),
                first_wait_s,
                say,
            )
            for role, model in models.items()
        }
        self._ledger = ledger
        self._context = context
        self._prices = prices
        self._settlement = Settlement(ledger, prices, self.tallies)
        self._budgets = budgets or Budgets()
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._answered: dict[str, StoredAnswer] = {}
        self._in_flight: dict[str, asyncio.Task[tuple[StoredAnswer, bool]]] = {}
        self._paying: set[asyncio.Task[object]] = set()
        self._claimed: set[str] = set()
        self._budget_gate = BudgetGate()
        self._closing = False
        pace = batch_pace or BatchPace()
        gathered: dict[ModelIdentity, Batching] = {}
        self._batching = {
            role: gathered.setdefault(
                endpoint.identity.place, Batching(endpoint, ledger, context, prices, self.tallies, self._idle, pace)
            )
            for role, endpoint in (batches or {}).items()
        }
        self._handed_over = 0
        self._reply_limits = reply_limits or {}
        by_rules = frozenset(role for role, model in models.items() if model.identity.provider == "offline")
        self._trials = Trials(fault, by_rules)

    def identity(self, role: Role) -> ModelIdentity:
        """Which model serves `role`. Raises RoleNotConfigured."""
        return self._endpoint(role).identity

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer to `request`, reused where the ledger has it, durable when this returns.

        Whatever a completion says, it is an answer: look at its outcome. A caller that is cancelled leaves the
        paid call running, so that its answer is kept. Raises QueryFailed for this query's own trouble;
        RoleNotConfigured, BudgetExhausted, PriceUnknown, EndpointBroken, NothingUsable or LedgerError for what ends
        the step.
        """
        endpoint = self._endpoint(request.role)
        request = as_sent(request, endpoint.identity)
        key = request_key(endpoint.identity, request)
        use = self._use(endpoint.identity, request, key, transition_id, sample_id)
        self.tallies.asked += 1
        running, answer, reused = self._in_flight.get(key), self._answered.get(key), True
        if answer is not None:
            await self._ledger.write(Reuse(answer, use))
        elif running is not None:
            answer = await self._share(running, use)
        else:
            running = asyncio.create_task(self._answer(endpoint, self._limited(request), use))
            self._in_flight[key] = running
            running.add_done_callback(lambda task: self._forget(key, task))
            answer, reused = await asyncio.shield(running)
            if reused:
                self.tallies.reused_nano_usd += answer.cost_nano_usd or 0
                self.tallies.reused_unpriced += answer.cost_nano_usd is None
        self.tallies.reused += reused
        self.tallies.usable += answer.completion.outcome is Outcome.USABLE
        return Answer(as_asked_for(request, answer.completion), answer.request_id, key, reused)

    async def close(self) -> None:
        """Wait for calls that are under way, so that their answers are kept; what was not sent yet is not sent."""
        self._closing = True
        tasks = list(self._in_flight.values())
        for task in tasks:
            if task not in self._paying:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for batching in self._batching.values():
            await batching.close()

    def _limited(self, request: Request) -> Request:
        """`request` as it is sent: with the limit on its reply that holds for its role."""
        limit = self._reply_limits.get(request.role)
        if limit is None:
            return request
        return replace(request, sampling=replace(request.sampling, max_tokens=limit(request)))

    async def _share(self, running: asyncio.Task[tuple[StoredAnswer, bool]], use: Use) -> StoredAnswer:
        """The answer of a query that is being asked already, as a further use of it."""
        try:
            answer, _ = await asyncio.shield(running)
        except QueryFailed as failure:
            await self._give_up(use, failure.kind.value)
            raise QueryFailed(failure.kind, failure.detail, failure.attempts) from failure
        await self._ledger.write(Reuse(answer, use))
        return answer

    async def _answer(self, endpoint: Endpoint, request: Request, use: Use) -> tuple[StoredAnswer, bool]:
        """The answer from the ledger or from the model, and whether it was on the ledger already."""
        stored = await self._ledger.write(LookUp(use))
        if stored is not None:
            self._trials.reused(request, stored.completion)
            return stored, True
        question = Question(use.request_key, endpoint.identity, request)
        if (found := await self._through_batch(question, use)) is not None:
            if (reason := self._trials.answered(request, found[0].completion)) is not None:
                raise reason
            return found
        reservation = reserve(request, endpoint.identity, self._prices, self._limits(request.role))
        async with self._trials.turn(request):
            try:
                found = await self._persist(_Asking(endpoint, question, reservation, use))
            except QueryFailed as failure:
                await self._give_up(use, failure.kind.value)
                self._trials.failed(request, failure)
                raise
            except EndpointBroken as broken:
                self._trials.end(broken)
                raise
            if found[1]:
                self._trials.reused(request, found[0].completion)
            return found

    async def _persist(self, asking: _Asking) -> tuple[StoredAnswer, bool]:
        """What `_attempts_at` brings, with nothing left claimed where it brings nothing."""
        use = asking.use
        try:
            return await self._attempts_at(asking)
        except (EndpointBroken, NothingUsable, BatchesUnderWay, asyncio.CancelledError):
            if use.request_key in self._claimed:
                await self._ledger.write(Release(use.request_key))
            raise
        finally:
            self._claimed.discard(use.request_key)

    async def _attempts_at(self, asking: _Asking) -> tuple[StoredAnswer, bool]:
        """Attempts until one brings an answer. Raises QueryFailed for the last of them, and what `_try` raises."""
        patience = RetryPolicy(self._attempts, self._first_wait_s)
        number = 0
        while True:
            number += 1
            try:
                return await self._try(asking, number)
            except CompletionError as error:
                pause_s = patience.pause_s(error)
                if pause_s is None:
                    asking.endpoint.check()
                    raise given_up(error, asking.request.role, number) from error
            await asyncio.sleep(pause_s)

    async def _through_batch(self, question: Question, use: Use) -> tuple[StoredAnswer, bool] | None:
        """The answer by way of the provider's batch endpoint, where the role goes there; None to ask directly."""
        request = question.request
        batching = self._batching.get(request.role)
        if batching is None:
            return None
        reservation = reserve(request, question.identity, self._prices, self._limits(request.role), batch=True)
        self._handed_over += 1
        try:
            return await batching.ask(question, use, reservation)
        finally:
            self._handed_over -= 1

    def _idle(self) -> bool:
        """Whether every query under way waits for a batch."""
        return self._handed_over == len(self._in_flight)

    def _limits(self, role: Role) -> tuple[Limit, ...]:
        return self._budgets.limits(self._context.run_id, role.value)

    async def _try(self, asking: _Asking, number: int) -> tuple[StoredAnswer, bool]:
        """One attempt, once nothing stands in its way.

        Raises CompletionError, EndpointBroken, NothingUsable, BudgetExhausted, or BatchesUnderWay for a query that a
        batch holds.
        """
        woken = False
        while True:
            found = None
            try:
                found = await self._attempt(asking, number)
            finally:
                if woken and not isinstance(found, Exhausted):
                    self._budget_gate.pass_on()
            woken = isinstance(found, Exhausted)
            if isinstance(found, Exhausted):
                await self._budget_gate.wait(found)
            elif isinstance(found, tuple):
                return found
            elif (batch_id := batch_of(found.owner)) is not None:
                raise BatchesUnderWay([batch_id], 1, str(asking.endpoint.identity))
            elif (stored := await self._watch(asking.use)) is not None:
                return stored, True

    async def _watch(self, use: Use) -> StoredAnswer | None:
        """The answer to a query that somebody else is asking; None when it takes longer: it may have failed."""
        for pause in CLAIM_POLLS_S:
            await asyncio.sleep(pause)
            stored = await self._ledger.write(LookUp(use))
            if stored is not None:
                return stored
        return None

    async def _attempt(self, asking: _Asking, number: int) -> tuple[StoredAnswer, bool] | Claimed | Exhausted:
        """Write the intent, send it and settle it; or what stands in its way."""
        async with AsyncExitStack() as front:
            tokens = await front.enter_async_context(asking.endpoint.turn(asking.request))
            self._trials.check(asking.request)
            with self._not_cancelled():
                attempt = Attempt(uuid.uuid4().hex, asking.use.request_key, number, asking.use.place, _now())
                begun = await self._ledger.write(BeginAttempt(asking.question, attempt, asking.use, asking.reservation))
            if begun is not None:
                return (begun, True) if isinstance(begun, StoredAnswer) else begun
            self._claimed.add(asking.use.request_key)
            with self._budget_gate.reserved():
                opened = OpenAttempt(attempt.request_id, asking.endpoint.identity, asking.use, asking.reservation)
                stored = await self._send(asking, opened, tokens, front)
            return stored, stored.request_id != attempt.request_id

    async def _send(self, asking: _Asking, attempt: OpenAttempt, tokens: int, front: AsyncExitStack) -> StoredAnswer:
        """Wait for its turn, leave the front to others, call, and settle. A step that ends sends nothing more."""
        sent = False
        try:
            async with asking.endpoint.sending(tokens):
                await front.aclose()
                async with self._trials.sending(asking.request):
                    with self._not_cancelled():
                        sent = True
                        return await self._call(asking, attempt)
        except (asyncio.CancelledError, EndpointBroken, NothingUsable):
            if not sent:
                await self._settlement.failed(attempt, _NOT_SENT, latency_ms=0.0)
            raise

    async def _call(self, asking: _Asking, attempt: OpenAttempt) -> StoredAnswer:
        """Send it and settle what came of it.

        Raises CompletionError once the failure is on the ledger, and NothingUsable once the answer is.
        """
        self.tallies.sent += 1
        endpoint, request, began = asking.endpoint, asking.request, time.perf_counter()
        try:
            completion = await endpoint.model.complete(request)
        except CompletionError as failure:
            latency_s = time.perf_counter() - began
            error = failure.for_role(request.role)
            if not error.adapted:
                self._trials.heard(request)
            endpoint.failed(request, error, latency_s)
            await self._settlement.failed(attempt, error, latency_s * 1_000)
            raise error from None
        latency_s = time.perf_counter() - began
        completion = with_possible_usage(completion, asking.reservation)
        endpoint.answered(request, completion, latency_s)
        completion = judged_by(request.structured, request.allowed, completion)
        reason = self._trials.answered(request, completion)
        stored = await self._settlement.answered(attempt, completion, latency_s * 1_000)
        if reason is not None:
            raise reason
        return stored

    @contextmanager
    def _not_cancelled(self) -> Generator[None]:
        """The block between an intent and its result, which `close` waits for."""
        task = asyncio.current_task()
        assert task is not None, "queries are asked in tasks"
        if self._closing:
            raise asyncio.CancelledError
        self._paying.add(task)
        try:
            yield
        finally:
            self._paying.discard(task)

    async def _give_up(self, use: Use, error_kind: str) -> None:
        self.tallies.failed += 1
        await self._ledger.write(Unanswered(use, error_kind))

    def _endpoint(self, role: Role) -> Endpoint:
        endpoint = self._endpoints.get(role)
        if endpoint is None:
            raise RoleNotConfigured(role)
        return endpoint

    def _use(
        self,
        identity: ModelIdentity,
        request: Request,
        key: str,
        transition_id: str | None,
        sample_id: str | None,
    ) -> Use:
        context, purpose, operation = self._context, request.intent.purpose.value, request.intent.operation
        place = Place(
            role=request.role.value,
            purpose=purpose,
            operation=None if operation is None else operation.value,
            provider=identity.provider,
            model=identity.model,
            run_id=context.run_id,
            asset_key=context.asset_key,
            partition_key=context.partition_key,
            transition_id=transition_id,
            sample_id=sample_id,
        )
        name = use_id(context.run_id, context.asset_key, context.partition_key, transition_id, sample_id, purpose, key)
        return Use(name, key, place, _now())

    def _forget(self, key: str, task: asyncio.Task[tuple[StoredAnswer, bool]]) -> None:
        del self._in_flight[key]
        if task.cancelled() or task.exception() is not None:  # looked at: asyncio would call it "never retrieved"
            return
        self._answered[key], _ = task.result()
        if len(self._answered) > KEPT_ANSWERS:
            del self._answered[next(iter(self._answered))]


def _now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000
