"""When a question is asked again, and when it is given up."""

from __future__ import annotations

import time

import tenacity

from teams_dagster.completions.protocol import CompletionError, ErrorKind

LONGEST_WAIT_S = 120.0
"""A server that asks for a longer pause than this has, for this run, no answer."""

OVERLOAD_S = 600.0
"""How long one question is offered to a server that refuses it for overload, from its first refusal."""

_LONGEST_BACKOFF_S = 30.0


def retrying(attempts: int, first_wait_s: float) -> tenacity.AsyncRetrying:
    """Up to `attempts`, refusals for overload not counted, with growing pauses and at least those the server asks for.

    The first pause is `first_wait_s`, each further one doubles, all with jitter. The last error is raised as it is.
    """
    return tenacity.AsyncRetrying(
        stop=_Patience(attempts),
        wait=_Pause(first_wait_s),
        retry=tenacity.retry_if_exception(_worth_another),
        reraise=True,
    )


class _Patience:
    """Stops after so many failures, or `OVERLOAD_S` after the first refusal for overload."""

    def __init__(self, attempts: int) -> None:
        self._left = attempts
        self._refused_at: float | None = None

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CompletionError) and error.kind is ErrorKind.RATE_LIMITED:
            now = time.monotonic()
            self._refused_at = now if self._refused_at is None else self._refused_at
            return now - self._refused_at > OVERLOAD_S
        self._left -= 1
        return self._left <= 0


class _Pause:
    """Seconds before the next attempt: at least what the server asked for."""

    def __init__(self, first_wait_s: float) -> None:
        self._backoff = tenacity.wait_exponential_jitter(
            multiplier=first_wait_s, max=_LONGEST_BACKOFF_S, jitter=first_wait_s
        )

    def __call__(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CompletionError) else None
        return max(self._backoff(state), asked or 0.0)


def _worth_another(error: BaseException) -> bool:
    return isinstance(error, CompletionError) and error.kind.retryable and (error.retry_after or 0.0) <= LONGEST_WAIT_S
