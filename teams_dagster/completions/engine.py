"""The engine: many questions in flight, each answer durable before it is used, none asked twice.

Room is kept for what is not here: budgets (a reservation before an intent), rate limits (a wait before a slot),
claims between processes (part of the ledger's look-up) and batch transports (another LanguageModel).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import tenacity

from teams_dagster.completions.keys import request_key, use_id
from teams_dagster.completions.outcomes import storable
from teams_dagster.completions.protocol import (
    Answer,
    Completion,
    CompletionError,
    LanguageModel,
    ModelIdentity,
    Outcome,
    QuestionFailed,
    Request,
    Role,
    Usage,
)
from teams_dagster.ledger.entries import AttemptFailed, Begin, Reuse, Settle, TryAgain, Unanswered
from teams_dagster.ledger.prices import PriceTable
from teams_dagster.ledger.records import Attempt, Place, Question, Result, StoredAnswer, Use
from teams_dagster.ledger.writer import Ledger

UNREACHABLE = "unreachable"
"""The ledger's `error_kind` of an attempt that certainly never reached a server."""

LONGEST_WAIT_S = 120.0
"""A server that asks for a longer pause than this has, for this run, no answer."""

_DETAIL_LIMIT = 2_000


@dataclass(frozen=True)
class CallContext:
    """Which step asks."""

    run_id: str
    asset_key: str
    partition_key: str | None = None


@dataclass
class Tallies:
    """What an engine did so far: for progress, not for accounting."""

    asked: int = 0
    reused: int = 0
    sent: int = 0
    """Attempts."""
    failed: int = 0
    """Questions without an answer after every attempt."""


class RoleNotConfigured(LookupError):
    """A role was asked that no model serves."""

    def __init__(self, role: Role) -> None:
        name = f"TEAMS_{role.name}"
        super().__init__(
            f"no model is configured for the role {role.value}: set {name}_MODEL (with {name}_BASE_URL and "
            f"{name}_API_KEY where it needs them), or {name}_PROVIDER=offline"
        )


class Engine:
    """Asks the models of a step's roles and accounts for it. Implements `protocol.Asker`; one event loop at a time."""

    def __init__(
        self,
        models: Mapping[Role, LanguageModel],
        ledger: Ledger,
        context: CallContext,
        prices: PriceTable,
        *,
        max_in_flight: int = 64,
        attempts: int = 4,
        first_wait_s: float = 0.5,
    ) -> None:
        """`attempts` per question at most; `first_wait_s` doubles after each failure, with jitter."""
        self.tallies = Tallies()
        self._models = dict(models)
        self._ledger = ledger
        self._context = context
        self._prices = prices
        self._max_in_flight = max_in_flight
        self._attempts = attempts
        self._backoff = tenacity.wait_exponential_jitter(multiplier=first_wait_s, max=30.0, jitter=first_wait_s)
        self._in_flight: dict[str, asyncio.Task[tuple[StoredAnswer, bool]]] = {}
        self._slots: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def identity(self, role: Role) -> ModelIdentity:
        """Which model serves `role`. Raises RoleNotConfigured."""
        return self._model(role).identity

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer to `request`, reused where the ledger has it, durable when this returns.

        Whatever a completion says, it is an answer: look at its outcome. A caller that is cancelled leaves the
        paid call running, so that its answer is kept. Raises QuestionFailed, RoleNotConfigured or LedgerError.
        """
        model = self._model(request.role)
        key = request_key(model.identity, request)
        use = self._use(model.identity, request, key, transition_id, sample_id)
        self.tallies.asked += 1
        running = self._in_flight.get(key)
        if running is not None:
            answer = await self._share(running, use)
            reused = True
        else:
            running = asyncio.create_task(self._answer(model, request, use))
            self._in_flight[key] = running
            running.add_done_callback(lambda task: self._forget(key, task))
            answer, reused = await asyncio.shield(running)
        self.tallies.reused += reused
        return Answer(answer.completion, answer.request_id, key, reused)

    async def close(self) -> None:
        """Wait for calls whose callers were cancelled."""
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    async def _share(self, running: asyncio.Task[tuple[StoredAnswer, bool]], use: Use) -> StoredAnswer:
        """The answer of a question that is being asked already, as a further use of it."""
        try:
            answer, _ = await asyncio.shield(running)
        except QuestionFailed as failure:
            await self._give_up(use, failure.kind.value)
            raise QuestionFailed(failure.kind, failure.detail, failure.attempts) from failure
        await self._ledger.write(Reuse(answer, use))
        return answer

    async def _answer(self, model: LanguageModel, request: Request, use: Use) -> tuple[StoredAnswer, bool]:
        """The answer from the ledger or from the model, and whether it was on the ledger already."""
        async with self._slot():
            attempt = self._attempt(use, 1)
            question = Question(use.request_key, model.identity, request)
            stored = await self._ledger.write(Begin(question, attempt, use))
            if stored is not None:
                return stored, True
            result = await self._call_until_answered(model, request, attempt, use)
            stored = await self._ledger.write(Settle(result, use))
        assert stored is not None, "settling gives back the stored answer"
        return stored, stored.request_id != result.request_id

    async def _call_until_answered(self, model: LanguageModel, request: Request, attempt: Attempt, use: Use) -> Result:
        """Call until there is a completion or no attempt is left; `attempt` is on the ledger already."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._pause,
            retry=tenacity.retry_if_exception(_worth_another),
            reraise=True,
        )
        number = 1
        try:
            async for trial in retrying:
                with trial:
                    number = trial.retry_state.attempt_number
                    if number > 1:
                        attempt = self._attempt(use, number)
                        await self._ledger.write(TryAgain(attempt))
                    return await self._call(model, request, attempt)
        except CompletionError as error:
            await self._give_up(use, _error_kind(error))
            raise QuestionFailed(error.kind, error.detail, number) from error
        raise AssertionError("tenacity ends with a result or an error")

    async def _call(self, model: LanguageModel, request: Request, attempt: Attempt) -> Result:
        """One attempt. Its failure is on the ledger before it is raised; its completion is not, yet."""
        self.tallies.sent += 1
        began = time.perf_counter()
        try:
            completion = _storable(await model.complete(request))
        except CompletionError as error:
            cost = self._prices.cost(model.identity, Usage())
            await self._ledger.write(
                AttemptFailed(
                    Result(
                        request_id=attempt.request_id,
                        completion=None,
                        error_kind=_error_kind(error),
                        error_detail=storable(error.detail)[:_DETAIL_LIMIT],
                        http_status=error.http_status,
                        cost_nano_usd=cost,
                        price_version=self._prices.version,
                        latency_ms=_elapsed_ms(began),
                        finished_at=_now(),
                    )
                )
            )
            raise
        return Result(
            request_id=attempt.request_id,
            completion=completion,
            error_kind=None,
            error_detail=None,
            http_status=None,
            cost_nano_usd=self._prices.cost(model.identity, completion.usage),
            price_version=self._prices.version,
            latency_ms=_elapsed_ms(began),
            finished_at=_now(),
        )

    async def _give_up(self, use: Use, error_kind: str) -> None:
        self.tallies.failed += 1
        await self._ledger.write(Unanswered(use, error_kind))

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next attempt: at least what the server asked for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CompletionError) else None
        return max(self._backoff(state), asked or 0.0)

    def _slot(self) -> asyncio.Semaphore:
        """The limit of calls in flight, of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._slots is None or self._loop is not loop:
            self._slots, self._loop = asyncio.Semaphore(self._max_in_flight), loop
        return self._slots

    def _model(self, role: Role) -> LanguageModel:
        model = self._models.get(role)
        if model is None:
            raise RoleNotConfigured(role)
        return model

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

    def _attempt(self, use: Use, number: int) -> Attempt:
        return Attempt(uuid.uuid4().hex, use.request_key, number, use.place, _now())

    def _forget(self, key: str, task: asyncio.Task[tuple[StoredAnswer, bool]]) -> None:
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()  # its askers may be gone; asyncio would call it "never retrieved"


def _worth_another(error: BaseException) -> bool:
    return isinstance(error, CompletionError) and error.kind.retryable and (error.retry_after or 0.0) <= LONGEST_WAIT_S


def _error_kind(error: CompletionError) -> str:
    return error.kind.value if error.reached_server else UNREACHABLE


def _storable(completion: Completion) -> Completion:
    """`completion` as a database takes it; a text that had to be changed for it is malformed."""
    text = storable(completion.text)
    return completion if text == completion.text else replace(completion, text=text, outcome=Outcome.MALFORMED)


def _elapsed_ms(began: float) -> float:
    return (time.perf_counter() - began) * 1_000


def _now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000
