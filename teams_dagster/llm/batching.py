"""Queries asked through a provider's batch endpoint: handed in together, answered within a day, at a lower price.

Queries are gathered until nothing else of the step can go on, then handed in. The step waits for a while and ends
when that was not enough; run again, it finds its answers on the ledger and goes on to the queries that follow from
them. What a killed process left behind is adopted: handed in or not, collected or not, nothing is asked twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Request, Role
from teams_dagster.ledger import batches as ledger_batches
from teams_dagster.ledger.batches import Batch, WaitingAttempt
from teams_dagster.ledger.budgets import BudgetExhausted, Exhausted, Reservation
from teams_dagster.ledger.entries import BeginAttempt, KeepLease, LookUp, Release
from teams_dagster.ledger.owners import batch_of
from teams_dagster.ledger.records import Attempt, Question, StoredAnswer, Use
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batches import BatchEndpoint, BatchState, split
from teams_dagster.llm.circuit import naming_variables, told
from teams_dagster.llm.constraints import judged_by
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.llm.keys import use_id
from teams_dagster.llm.settling import OpenAttempt, Settlement, with_possible_usage
from teams_dagster.pricing.prices import PriceTable

QUIET_S = 0.5
"""Nothing new for so long, and nothing else under way: what is gathered is handed in."""

TRIES = 3
"""A query that failed in so many batches ends the step."""

ASKED_DIRECTLY = (ErrorKind.REJECTED, ErrorKind.TOO_LARGE, ErrorKind.TOO_LONG)
"""Failures in a batch that are the query's own: it is asked directly, where it can fail alone."""

SETTLED_AT_ONCE = 1_000

Given = TypeVar("Given")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchPace:
    """How long a step waits for its batches, and how often it looks."""

    wait_s: float = 3_600.0
    poll_s: float = 30.0


class BatchesUnderWay(Exception):
    """The step's queries are being asked, and their answers are not there yet."""

    def __init__(self, batches: Sequence[str], questions: int, identity: str) -> None:
        """`batches` is empty when another process asks all of `questions` directly."""
        self.batches = tuple(batches)
        if batches:
            where = f"are with {identity} in {len(batches)} batches ({', '.join(batches)})"
            how = "the sensor collect_batches runs it again once they have ended, or run it again yourself"
        else:
            where = f"are being asked of {identity} by another process"
            how = "run it again once that has ended"
        super().__init__(f"{questions} queries {where}. The step ends here; {how}: it goes on from the answers")


class BatchRefused(Exception):
    """A batch that could not be handed in, that the provider refused, or that brought no answer to a query."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A query whose client waits. The future gives the answer, or None to ask directly."""

    question: Question
    use: Use
    reservation: Reservation
    future: asyncio.Future[StoredAnswer | None]


class Batching:
    """The batches of one model, for one step."""

    def __init__(
        self,
        endpoint: BatchEndpoint,
        ledger: Ledger,
        context: CallContext,
        prices: PriceTable,
        tallies: Tallies,
        idle: Callable[[], bool],
        pace: BatchPace,
    ) -> None:
        """`idle` says whether nothing but batches is waited for."""
        self._endpoint, self._ledger, self._context = endpoint, ledger, context
        self._tallies, self._idle, self._pace = tallies, idle, pace
        self._settlement = Settlement(ledger, prices, tallies)
        self._waiting: set[_Waiting] = set()
        """All of those below."""
        self._new: list[_Waiting] = []
        self._elsewhere: list[tuple[_Waiting, str]] = []
        """Queries that another process, or its batch, is asking, and who that is."""
        self._short: list[tuple[_Waiting, Exhausted]] = []
        """Queries for which a budget had no room."""
        self._in: dict[str, list[_Waiting]] = defaultdict(list)
        """Queries by the batch that holds them."""
        self._open: dict[str, Batch] = {}
        """The batches that this process works on."""
        self._paid: set[str] = set()
        self._failed: set[str] = set()
        """The keys of queries whose failure in a batch this process has collected."""
        self._rewritten: set[str] = set()
        """The keys of those that were refused for how they were written, which the endpoint now gets otherwise."""
        self._stop = asyncio.Event()
        self._changed = 0.0
        self._waits_since: float | None = None
        self._work: asyncio.Task[None] | None = None

    async def ask(self, question: Question, use: Use, reservation: Reservation) -> tuple[StoredAnswer, bool] | None:
        """The answer and whether somebody else paid for it; None when it is to be asked directly.

        Raises BatchesUnderWay, BudgetExhausted or BatchRefused.
        """
        waiting = _Waiting(question, use, reservation, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        self._new.append(waiting)
        self._changed = time.monotonic()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._serve())
        try:
            stored = await waiting.future
        finally:
            self._waiting.discard(waiting)
        return None if stored is None else (stored, stored.request_id not in self._paid)

    async def close(self) -> None:
        """Stop waiting. Batches that are under way stay so, for whoever comes next."""
        self._stop.set()
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)
        for batch_id in list(self._open):
            await asyncio.to_thread(ledger_batches.give_back, self._ledger, batch_id)
        self._open.clear()

    async def _serve(self) -> None:
        """Gather, hand in, wait, collect, until nobody waits."""
        try:
            self._waits_since = None
            await self.adopt()
            while self._everyone() and await self._gathered():
                await self._hand_in()
                await self._some_end()
        except Exception as error:
            for waiting in self._everyone():
                waiting.future.set_exception(self._told(error, waiting))
            self._forget()
        except BaseException:
            for waiting in self._everyone():
                waiting.future.cancel()
            self._forget()
            raise

    def _told(self, error: Exception, waiting: _Waiting) -> Exception:
        """What ended the work, for one who waited: of an endpoint that cannot be asked, with what to check."""
        if not isinstance(error, CompletionError):
            return error
        said = told(error, waiting.question.request.role)
        return BatchRefused(f"the batches of {self._endpoint.identity} cannot be reached: {said}")

    def _forget(self) -> None:
        """Nobody waits any more."""
        self._new, self._elsewhere, self._short = [], [], []
        self._in.clear()

    def _everyone(self) -> list[_Waiting]:
        """Those who still wait."""
        return [waiting for waiting in self._waiting if not waiting.future.done()]

    async def _gathered(self) -> bool:
        """Wait until the step has nothing else to do and asks nothing more; False when it ends instead."""
        while not self._idle() or time.monotonic() - self._changed < QUIET_S:
            if await self._stopped_within(QUIET_S / 5):
                return False
        return not self._stop.is_set()

    async def _stopped_within(self, seconds: float) -> bool:
        """Sleep, unless the step ends."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    async def _hand_in(self) -> None:
        """Hand in what is gathered and not answered yet, in as few batches as may be."""
        gathered, self._new = [waiting for waiting in self._new if not waiting.future.done()], []
        keys = [waiting.use.request_key for waiting in gathered]
        failed = await asyncio.to_thread(ledger_batches.failures_in_batches, self._ledger, keys)
        claimed = await asyncio.to_thread(ledger_batches.claimants, self._ledger, keys)
        stored = await _all([self._ledger.write(LookUp(waiting.use)) for waiting in gathered])
        new: dict[str, _Waiting] = {}
        refused: list[BatchRefused] = []
        for waiting, answer in zip(gathered, stored, strict=True):
            key = waiting.use.request_key
            failures = failed.get(key, [])
            alone = failures and failures[-1].kind in ASKED_DIRECTLY and key not in self._rewritten
            if answer is not None or alone:
                _give(waiting, answer)
            elif key in claimed:
                self._held(waiting, claimed[key])
            elif (refusal := self._refusal(waiting, failures)) is not None:
                refused.append(refusal)
            else:
                new[uuid.uuid4().hex] = waiting
        if refused:
            raise refused[0]
        requests = ((request_id, waiting.question.request) for request_id, waiting in new.items())
        for chunk in split(self._endpoint, requests):
            await self._submit({request_id: new[request_id] for request_id in chunk})
        if self._short and not any(self._in.values()):
            raise BudgetExhausted(self._short[0][1])

    def _refusal(self, waiting: _Waiting, failures: Sequence[CompletionError]) -> BatchRefused | None:
        """Why a query is not put into another batch by this run; the next one may try it again."""
        if waiting.use.request_key not in self._failed or not failures:
            return None
        if failures[-1].kind.retryable and len(failures) % TRIES:
            return None
        return BatchRefused(
            f"{self._endpoint.identity} did not answer a query in {len(failures)} batch(es), the last time:"
            f" {told(failures[-1], waiting.question.request.role)} Run the step again to try it once more, or ask"
            " directly (transport)"
        )

    async def _submit(self, chunk: dict[str, _Waiting]) -> None:
        identity, context = self._endpoint.identity, self._context
        batch = Batch(
            batch_id=uuid.uuid4().hex,
            role=next(iter(chunk.values())).question.request.role.value,
            provider=identity.provider,
            model=identity.model,
            base_url=identity.base_url,
            status="preparing",
            remote_id=None,
            owner=None,
            run_id=context.run_id,
            asset_key=context.asset_key,
            partition_key=context.partition_key,
        )
        batch = await asyncio.to_thread(ledger_batches.open_batch, self._ledger, batch)
        self._open[batch.batch_id] = batch
        begun = await _all([self._begin(batch.batch_id, *item) for item in chunk.items()])
        requests = {
            request_id: waiting.question.request
            for (request_id, waiting), began in zip(chunk.items(), begun, strict=True)
            if began
        }
        if not requests:
            await self._close(batch.batch_id, "lost")
            return
        try:
            remote_id = await self._endpoint.submit(batch.batch_id, requests)
        except CompletionError as error:
            await self._recover(batch)
            if batch.batch_id not in self._open:
                said = told(error, Role(batch.role))
                raise BatchRefused(f"{identity} does not take batches: {said} Nothing was asked") from error
            return
        await self._handed_in(batch, remote_id)
        self._tallies.sent += len(requests)
        _log.info("%d queries handed in to %s as batch %s", len(requests), identity, remote_id)

    async def _handed_in(self, batch: Batch, remote_id: str) -> None:
        """The provider has the batch."""
        await asyncio.to_thread(ledger_batches.submitted, self._ledger, batch.batch_id, remote_id)
        self._open[batch.batch_id] = replace(batch, status="submitted", remote_id=remote_id)
        self._waits_since = time.monotonic()

    async def _begin(self, batch_id: str, request_id: str, waiting: _Waiting) -> bool:
        """Write the intent; False when the query need not, or cannot, be handed in now."""
        attempt = Attempt(request_id, waiting.use.request_key, 1, waiting.use.place, _now(), batch_id)
        begun = await self._ledger.write(BeginAttempt(waiting.question, attempt, waiting.use, waiting.reservation))
        if begun is None:
            self._paid.add(request_id)
            self._in[batch_id].append(waiting)
        elif isinstance(begun, StoredAnswer):
            _give(waiting, begun)
        elif isinstance(begun, Exhausted):
            self._short.append((waiting, begun))
        else:
            self._held(waiting, begun.owner)
        return begun is None

    def _held(self, waiting: _Waiting, owner: str) -> None:
        """Somebody asks the query already: a batch that this process works on, or another process."""
        batch_id = batch_of(owner)
        if batch_id is not None and batch_id in self._open:
            self._in[batch_id].append(waiting)
        else:
            self._elsewhere.append((waiting, owner))

    async def adopt(self) -> None:
        """Take over what processes that are gone left behind, and collect what has ended meanwhile.

        Raises CompletionError when the provider cannot be asked.
        """
        await self._ledger.write(KeepLease())
        for found in await asyncio.to_thread(ledger_batches.open_batches, self._ledger):
            if not found.is_of(self._endpoint.identity):
                continue
            batch = await asyncio.to_thread(ledger_batches.take, self._ledger, found.batch_id)
            if batch is None:
                continue
            self._open[batch.batch_id] = batch
            if batch.remote_id is None:
                await self._recover(batch)
            if batch.batch_id in self._open:
                await self._collect_if_ended(batch.batch_id)

    async def _recover(self, batch: Batch) -> None:
        """Find out whether a batch that was being handed in ever came to be."""
        remote_id = await self._endpoint.find(batch.batch_id) or await self._endpoint.abandon(batch.batch_id)
        if remote_id is not None:
            await self._handed_in(batch, remote_id)
            return
        await self._fail_rest(batch.batch_id, CompletionError(ErrorKind.UNREACHABLE, "its batch was never handed in"))
        await self._close(batch.batch_id, "lost")

    async def _some_end(self) -> None:
        """Wait until a batch that somebody waits for has ended. Raises BatchesUnderWay after `wait_s`."""
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        while (needed := [batch_id for batch_id, those in self._in.items() if those]) or self._elsewhere:
            ended = [batch_id for batch_id in needed if await self._collect_if_ended(batch_id)]
            if ended:
                self._waits_since = None
                return
            if time.monotonic() >= self._waits_since + self._pace.wait_s:
                others = {batch_of(owner) for _, owner in self._elsewhere} - {None}
                under_way = [*needed, *sorted(filter(None, others))]
                raise BatchesUnderWay(under_way, len(self._everyone()), str(self._endpoint.identity))
            if await self._stopped_within(self._pace.poll_s):
                return
            if self._elsewhere:
                self._new += [waiting for waiting, _ in self._elsewhere]
                self._elsewhere = []
                return

    async def _collect_if_ended(self, batch_id: str) -> bool:
        """Put the answers of a batch on the ledger, if it has ended, and give them to those who wait."""
        remote_id, role = self._open[batch_id].remote_id, Role(self._open[batch_id].role)
        assert remote_id is not None, "a batch of unknown fate is recovered first"
        errors: tuple[str, ...] = ()
        try:
            state = await self._endpoint.state(remote_id)
            if state.running:
                _log.info("batch %s: %d of %d answered", remote_id, state.completed, state.total)
                return False
            await self._collect(batch_id, state)
            await self._close(batch_id, "collected")
            _log.info("batch %s %s: %d answered, %d failed", remote_id, state.status, state.completed, state.failed)
            errors = () if state.completed else state.errors
        except CompletionError as error:
            if error.kind is not ErrorKind.REJECTED:
                raise
            gone = f"{self._endpoint.identity} does not have batch {remote_id} any more ({error})"
            _log.warning("%s. What it left unanswered is asked again; it may have been billed", gone)
            await self._fail_rest(batch_id, CompletionError(ErrorKind.BAD_REPLY, gone))
            await self._close(batch_id, "lost")
        short, self._short = self._short, []
        self._new += [waiting for waiting, _ in short]
        self._new += self._in.pop(batch_id, [])
        if errors:
            said = "; ".join(errors).rstrip(". ")
            check = naming_variables("Check {}MODEL and {}BASE_URL, or ask directly ({}TRANSPORT=direct).", role)
            raise BatchRefused(f"{self._endpoint.identity} refused batch {remote_id}: {said}. {check}")
        return True

    async def _collect(self, batch_id: str, state: BatchState) -> None:
        """Settle every attempt of an ended batch, a thousand at a time."""
        waiting = await asyncio.to_thread(ledger_batches.waiting_attempts, self._ledger, batch_id)
        settled: list[tuple[WaitingAttempt, Completion | CompletionError]] = []
        answered = 0
        try:
            async with aclosing(self._endpoint.results(state.remote_id)) as results:
                async for request_id, outcome in results:
                    answered += isinstance(outcome, Completion)
                    attempt = waiting.pop(request_id, None)
                    if attempt is None:
                        continue  # settled before this process took over
                    settled.append((attempt, outcome))
                    if len(settled) == SETTLED_AT_ONCE:
                        await self._write_all(settled, batch_id)
                        settled = []
        except CompletionError:
            await self._write_all(settled, batch_id)
            raise
        lost = answered < state.completed
        unserved = CompletionError(
            ErrorKind.BAD_REPLY if lost else ErrorKind.SERVER,
            f"the batch ended ({state.status}) without an answer to it"
            + (f"; {state.completed} were counted and {answered} delivered" if lost else ""),
        )
        settled += [(attempt, unserved) for attempt in waiting.values()]
        await self._write_all(settled, batch_id)

    async def _fail_rest(self, batch_id: str, error: CompletionError) -> None:
        """Settle as failed what the batch has not answered."""
        waiting = await asyncio.to_thread(ledger_batches.waiting_attempts, self._ledger, batch_id)
        await self._write_all([(attempt, error) for attempt in waiting.values()], batch_id)

    async def _write_all(
        self, settled: Sequence[tuple[WaitingAttempt, Completion | CompletionError]], batch_id: str
    ) -> None:
        outcomes = {attempt.request_key: outcome for attempt, outcome in settled}
        outcomes |= self._endpoint.learn(self._refused(outcomes))
        await _all([self._write(attempt, outcomes[attempt.request_key], batch_id) for attempt, _ in settled])

    def _refused(
        self, outcomes: Mapping[str, Completion | CompletionError]
    ) -> dict[str, tuple[Request, CompletionError]]:
        """The queries that somebody here waits for and the endpoint refused, with their refusals."""
        failed = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, CompletionError)}
        if not failed:  # as nearly always: of many who wait nobody is looked at
            return {}
        return {
            key: (waiting.question.request, failed[key])
            for waiting in self._waiting
            if (key := waiting.use.request_key) in failed
        }

    async def _write(self, attempt: WaitingAttempt, outcome: Completion | CompletionError, batch_id: str) -> None:
        latency_ms = (_now() - attempt.started_at) / 1_000
        opened = OpenAttempt(
            attempt.request_id, self._endpoint.identity, _use_of(attempt), attempt.reservation, batch_id
        )
        if isinstance(outcome, Completion):
            outcome = judged_by(attempt.structured, attempt.allowed, with_possible_usage(outcome, attempt.reservation))
            await self._settlement.answered(opened, outcome, latency_ms)
            return
        await self._settlement.failed(opened, outcome, latency_ms)
        await self._ledger.write(Release(attempt.request_key, batch_id))
        if outcome.adapted:
            self._rewritten.add(attempt.request_key)
            return
        self._rewritten.discard(attempt.request_key)
        if self._open[batch_id].remote_id is not None:
            self._failed.add(attempt.request_key)

    async def _close(self, batch_id: str, status: str) -> None:
        await asyncio.to_thread(ledger_batches.close_batch, self._ledger, batch_id, status)
        self._open.pop(batch_id, None)


async def _all(work: Iterable[Coroutine[Any, Any, Given]]) -> list[Given]:
    """What each of `work` brings, once all have ended; raises the first error then: nothing goes on unseen."""
    brought = await asyncio.gather(*work, return_exceptions=True)
    for each in brought:
        if isinstance(each, BaseException):
            raise each
    return cast(list[Given], brought)


def _give(waiting: _Waiting, stored: StoredAnswer | None) -> None:
    if not waiting.future.done():
        waiting.future.set_result(stored)


def _use_of(attempt: WaitingAttempt) -> Use:
    """The use that the attempt was made for."""
    place, key = attempt.place, attempt.request_key
    name = use_id(
        place.run_id, place.asset_key, place.partition_key, place.transition_id, place.sample_id, place.purpose, key
    )
    return Use(name, key, place, attempt.started_at)


def _now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000
