"""When a query is asked again, and when it is given up."""

from __future__ import annotations

import random
import time

from teams_dagster.core.protocol import CompletionError, ErrorKind

LONGEST_WAIT_S = 120.0
"""A server that asks for a longer pause than this has, for this run, no answer."""

OVERLOAD_S = 600.0
"""How long one query is offered to a server that refuses it for overload, from its first refusal."""

MOST_ADAPTATIONS = 12
"""A connection learns the parameters, the roles and the context of an endpoint in fewer refusals than this."""

_LONGEST_BACKOFF_S = 30.0

_JITTER = (0.75, 1.25)
"""A pause is drawn from between these shares of it, so that what failed together is not sent together again."""


class RetryPolicy:
    """Whether and when one query is asked again.

    A failure may be followed by another attempt until there were `attempts` of them, a refusal for overload for
    `OVERLOAD_S`. Both are followed by pauses that grow, each for itself: a server that was overloaded is not broken.
    Tenacity counts attempts of one kind: two counts and a deadline for one of them would be this class in its hooks.
    """

    def __init__(self, attempts: int, first_wait_s: float) -> None:
        """The first pause is about `first_wait_s`, and each further one twice as long."""
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._failures = self._refusals = self._adaptations = 0
        self._refused_at: float | None = None

    def pause_s(self, error: CompletionError) -> float | None:
        """Seconds until the attempt after the one that brought `error`, at least those the server asks for.

        None when there is no further one. To be called once for each attempt.
        """
        if error.adapted:  # the same refusal cannot come again
            self._adaptations += 1
            return 0.0 if self._adaptations <= MOST_ADAPTATIONS else None
        asked = error.retry_after or 0.0
        if not error.kind.retryable or asked > LONGEST_WAIT_S:
            return None
        if error.kind is ErrorKind.RATE_LIMITED:
            now = time.monotonic()
            self._refused_at = now if self._refused_at is None else self._refused_at
            if now - self._refused_at > OVERLOAD_S:
                return None
            self._refusals += 1
            return max(self._backoff_s(self._refusals), asked)
        self._failures += 1
        if self._failures >= self._attempts:
            return None
        return max(self._backoff_s(self._failures), asked)

    def _backoff_s(self, times: int) -> float:
        growth = 2.0 ** min(times - 1, 30)  # further it is the longest in any case
        return min(_LONGEST_BACKOFF_S, self._first_wait_s * growth) * random.uniform(*_JITTER)
