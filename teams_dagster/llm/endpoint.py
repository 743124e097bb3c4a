"""One model as an engine meets it: how many calls may be under way, how fast, and whether it is worth asking at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    LanguageModel,
    ModelIdentity,
    Request,
    Role,
)
from teams_dagster.llm.budget_gate import prompt_bound
from teams_dagster.llm.circuit import Circuit
from teams_dagster.llm.concurrency import AdaptiveLimit
from teams_dagster.llm.rate_limits import RateLimit, TokenForecast
from teams_dagster.llm.retries import LONGEST_WAIT_S

OVERLOADED_AFTER = 2
"""A refusal, and the pause it asks for, concerns every query once so many came in a row; before, the one."""

TOLD_EVERY_S = 60.0
"""While no answer comes, the log is told so about this often."""

LONGEST_PROBE_PAUSE = 16
"""The pauses between calls to an endpoint in trouble grow to so many times the first."""

_UNAVAILABLE = 503


@dataclass(frozen=True)
class RateCeiling:
    """What a role may send in a minute at most; None is no limit of our own."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


UNPACED = RateCeiling()


def made_ready(max_in_flight: int) -> int:
    """How many calls are made ready at most, intent on the ledger, to follow those under way.

    Half as many: an intent takes as long as the settlement that ends a call, so with calls that take no less, no place
    stays empty for want of one that is ready, however slow the disk is.
    """
    return max(2, max_in_flight // 2)


class Endpoint:
    """A role's model behind its limits. Roles that the same model serves share how many calls may be under way."""

    def __init__(
        self,
        model: LanguageModel,
        role: Role,
        limit: AdaptiveLimit,
        ahead: int,
        pace: RateCeiling,
        first_wait_s: float,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """At most `ahead` calls are made ready to follow those under way. `say` is told what slows `role` down.

        `first_wait_s` is the first pause of an endpoint in trouble, each further one being twice as long.
        """
        self.model = model
        self._role = role
        self._say = say
        self._limit = limit
        self._own = RateLimit(pace.requests_per_minute, pace.tokens_per_minute)
        self._provider = RateLimit()
        self._circuit = Circuit(str(model.identity), role)
        self._forecast = TokenForecast()
        self._sent = 0
        self._refused_in_a_row = 0
        self._timeouts_in_a_row = 0
        self._told_s = 0.0
        """The stall of which the log was told last."""
        self._ahead = ahead
        self._first_wait_s = first_wait_s
        self._probes = 0
        """Calls that were made one by one since the last answer."""
        self._front = asyncio.Semaphore(ahead)
        self._probing = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Which model it is."""
        return self.model.identity

    def check(self) -> None:
        """Raises EndpointBroken when it is not worth asking any more."""
        self._circuit.check()

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncGenerator[int]:
        """Wait until one call may be prepared, and keep a place at the front for the block: how many tokens to expect.

        There are a few such places, so that the next calls are ready when one ends. Raises EndpointBroken.
        """
        self._circuit.check()
        self._meet_running_loop()
        async with self._front:
            tokens = self._forecast.expect(
                request.intent.purpose.value, prompt_bound(request), request.sampling.max_tokens
            )
            await self._own.wait(tokens)
            self._circuit.check()
            yield tokens

    @asynccontextmanager
    async def sending(self, tokens: int) -> AsyncGenerator[None]:
        """Wait until one more call, of about so many tokens, may be under way; it is, for the block.

        Raises EndpointBroken when it is not worth sending any more.
        """
        await self._limit.acquire()
        try:
            await self._provider.wait(tokens)
            async with self._one_by_one():
                self._circuit.check()
                self._sent += 1
                try:
                    yield
                finally:
                    self._sent -= 1
        finally:
            self._limit.release()

    @asynccontextmanager
    async def _one_by_one(self) -> AsyncGenerator[None]:
        """While the endpoint is in trouble, one call at a time is made, after a pause: what it brings tells the others.

        Otherwise everything that waits would be spent on it, attempt by attempt, within seconds.
        """
        if self._circuit.in_trouble:
            async with self._probing:
                self._circuit.check()
                if self._circuit.in_trouble:
                    await asyncio.sleep(self._first_wait_s * min(2**self._probes, LONGEST_PROBE_PAUSE))
                    self._probes += 1
                    yield
                    return
        yield

    def _meet_running_loop(self) -> None:
        """What waits in one event loop cannot in another."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._front, self._probing, self._loop = asyncio.Semaphore(self._ahead), asyncio.Lock(), loop

    def answered(self, request: Request, completion: Completion, latency_s: float) -> None:
        """Learn from a completion."""
        purpose = request.intent.purpose.value
        self._refused_in_a_row = self._timeouts_in_a_row = self._probes = 0
        self._told_s = 0.0
        self._circuit.succeeded()
        self._limit.succeeded(purpose, latency_s)
        self._provider.update(completion.rate_limit_headers, self._sent)
        self._forecast.learn(purpose, prompt_bound(request), completion.usage)

    def failed(self, request: Request, error: CompletionError, latency_s: float) -> None:
        """Learn from an attempt that brought nothing. A refusal that the connection adapts to says nothing."""
        if error.adapted:
            return
        self._circuit.failed(error, latency_s, query=request)
        self._tell_stall(error)
        self._provider.update(error.rate_limit_headers, self._sent)
        if error.kind is ErrorKind.TIMEOUT:
            self._timed_out(request, latency_s)
        overload = error.kind is ErrorKind.RATE_LIMITED or error.http_status == _UNAVAILABLE
        if not overload and error.retry_after is None:  # a failure of its own, of which refusals say nothing
            return
        self._refused_in_a_row += 1
        if self._refused_in_a_row < OVERLOADED_AFTER:
            return
        if (pause := error.retry_after or 0.0) > LONGEST_WAIT_S:
            self._circuit.open(error)
        else:
            self._provider.pause(pause)
        if overload:
            self._limit.overloaded()

    def _tell_stall(self, error: CompletionError) -> None:
        """Nothing for minutes is told once a minute, with the last reason."""
        stalled_s = self._circuit.stalled_s
        if stalled_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = stalled_s
            self._say(f"{self.identity}: no answer for {stalled_s / 60:.0f} min; the last attempt: {error}")

    def _timed_out(self, request: Request, latency_s: float) -> None:
        """Several timeouts in a row are a server that is asked too much at once: the next calls are fewer."""
        self._limit.succeeded(request.intent.purpose.value, latency_s)  # it takes at least so long
        self._timeouts_in_a_row += 1
        if self._timeouts_in_a_row >= OVERLOADED_AFTER and self._limit.timed_out(latency_s):
            self._say(
                f"{self.identity}: {self._timeouts_in_a_row} attempts in a row had no answer within {latency_s:.3g} s;"
                f" from now on {self._limit.limit} at a time (TEAMS_{self._role.name}_TIMEOUT_S, TEAMS_MAX_IN_FLIGHT)"
            )
