"""How fast a role may ask: requests and tokens per minute, its own limits and the provider's."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from teams_dagster.core.protocol import RateLimitHeaders, Usage

MINUTE_S = 60.0

BURST_S = 1.0
"""A limit per minute is spread over it: no more than this many seconds' worth goes at once."""

LONGEST_HEADER_PAUSE_S = 60.0
"""A reset further off than this is a quota by the day: then the refusal itself has to say so."""

BYTES_PER_TOKEN = 4.0
"""Before anything is known. English in most tokenizers."""

_MEMORY = 0.98


class _Bucket:
    """At most so much in any minute: aiolimiter's leaky bucket, small and leaking as much slower as it is large."""

    def __init__(self, per_minute: float) -> None:
        """A bucket of size c that leaks r a second lets c + 60 r through in a minute, so r = (limit - c) / 60.

        A limit below one in `BURST_S` lets one through every 60 / limit seconds.
        """
        self._size = max(1.0, per_minute * BURST_S / MINUTE_S)
        self._most = max(1.0, per_minute)
        leaving = per_minute if self._size == 1.0 else per_minute - self._size
        self._bucket = AsyncLimiter(self._size, MINUTE_S * self._size / leaving)

    async def pay(self, amount: float) -> None:
        """Wait until `amount` is through; what is more than the bucket takes is paid in instalments."""
        amount = min(amount, self._most)
        while amount > 0:
            part = min(amount, self._size)
            await self._bucket.acquire(part)
            amount -= part


class _Queue:
    """The buckets and the queue before them, of one event loop."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.turn = asyncio.Lock()
        self.requests = None if requests_per_minute is None else _Bucket(requests_per_minute)
        self.tokens = None if tokens_per_minute is None else _Bucket(tokens_per_minute)


class RateLimit:
    """One role's requests and tokens per minute, and the pauses its provider asks for.

    First come, first served: a long query is not overtaken by short ones. In any minute no more requests
    are let through than the limit, and no more tokens than the limit and one query's.
    Used in one event loop after another; not thread-safe.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """None is no limit. `clock` gives seconds, as fast as the event loop's. Raises ValueError."""
        for name, value in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}: give a number above 0, or none for no limit")
        self._requests_per_minute = requests_per_minute
        self._tokens_per_minute = tokens_per_minute
        self._limited = requests_per_minute is not None or tokens_per_minute is not None
        self._clock = clock
        self._paused_until = -math.inf
        self._usual_tokens = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: _Queue | None = None

    @property
    def paused_s(self) -> float:
        """For how many seconds nobody sends, by the provider's word; 0 when it asked for nothing."""
        return max(0.0, self._paused_until - self._clock())

    async def wait(self, tokens: int) -> None:
        """Wait until one request of about `tokens` tokens, prompt and answer, may be sent."""
        self._usual_tokens += (tokens - self._usual_tokens) * (0.05 if self._usual_tokens else 1.0)
        if not self._limited and self._paused_until <= self._clock():
            return
        queue = self._queue_of_running_loop()
        async with queue.turn:
            if queue.requests is not None:
                await queue.requests.pay(1)
            if queue.tokens is not None:
                await queue.tokens.pay(tokens)
            while (left := self._paused_until - self._clock()) > 0:  # noqa: ASYNC110 - pauses grow meanwhile
                await asyncio.sleep(left)

    def update(self, rate_limit_headers: RateLimitHeaders | None, under_way: int = 1) -> None:
        """What the headers of an answer, or of a refusal, said.

        Less left than what the `under_way` calls may still take: nobody sends before the reset, for a minute at most.
        A limit without a reset is not acted on.
        """
        if rate_limit_headers is None:
            return
        calls = max(1, under_way)
        if rate_limit_headers.requests is not None and rate_limit_headers.requests < calls:
            self.pause(min(rate_limit_headers.requests_reset_s or 0.0, LONGEST_HEADER_PAUSE_S))
        if rate_limit_headers.tokens is not None and rate_limit_headers.tokens < max(1.0, calls * self._usual_tokens):
            self.pause(min(rate_limit_headers.tokens_reset_s or 0.0, LONGEST_HEADER_PAUSE_S))

    def pause(self, seconds: float) -> None:
        """Nobody sends for `seconds` (`Retry-After`). A shorter pause does not end a longer one."""
        if seconds > 0:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _queue_of_running_loop(self) -> _Queue:
        loop = asyncio.get_running_loop()
        if self._queue is None or self._loop is not loop:
            self._loop = loop
            self._queue = _Queue(self._requests_per_minute, self._tokens_per_minute)
        return self._queue


@dataclass
class _History:
    """Sums over the answers to one purpose's queries, old ones fading."""

    prompt_bytes: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    completions: float = 0.0


class TokenForecast:
    """What a query will cost in tokens, learnt from those answered: for pacing, never for accounting."""

    def __init__(self) -> None:
        self._histories: dict[str, _History] = {}

    def expect(self, purpose: str, prompt_bytes: int, max_tokens: int) -> int:
        """Tokens of a prompt of `prompt_bytes` (UTF-8) and of its answer of at most `max_tokens`.

        Before any history: `BYTES_PER_TOKEN`, and the longest answer.
        """
        history = self._histories.get(purpose)
        tokens_per_byte, answer = 1 / BYTES_PER_TOKEN, float(max_tokens)
        if history is not None:
            if history.prompt_bytes:
                tokens_per_byte = history.prompt_tokens / history.prompt_bytes
            if history.completions:
                answer = min(answer, history.completion_tokens / history.completions)
        return math.ceil(prompt_bytes * tokens_per_byte + answer)

    def learn(self, purpose: str, prompt_bytes: int, usage: Usage) -> None:
        """What an answered query cost. Whatever the provider did not report teaches nothing."""
        history = self._histories.setdefault(purpose, _History())
        if usage.prompt_tokens is not None and prompt_bytes > 0:
            history.prompt_bytes = history.prompt_bytes * _MEMORY + prompt_bytes
            history.prompt_tokens = history.prompt_tokens * _MEMORY + usage.prompt_tokens
        if usage.completion_tokens is not None:
            history.completion_tokens = history.completion_tokens * _MEMORY + usage.completion_tokens
            history.completions = history.completions * _MEMORY + 1
