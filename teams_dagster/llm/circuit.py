"""Stopping a step early, with the reason, when an endpoint is plainly broken."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from teams_dagster.core.protocol import CompletionError, ErrorKind

DENIED_AT_FIRST = 3
"""Refusals of key, model or URL before any success: they are wrong."""

DENIED_LATER = 20
"""The same after a success: the key expired, or the quota is used up. Fewer may be one question's trouble."""

REJECTED_AT_FIRST = 10
"""Rejected requests before any success: a parameter that the endpoint does not take."""

FOREIGN_AT_FIRST = 12
"""Unreachable, or answers that are no chat completion, before any success: a wrong URL."""

FOREIGN_AT_FIRST_S = 1.0
"""These must spread over so many seconds: all that is sent at one instant meets the same hiccup."""

OUTAGE = 100
"""Attempts without an answer and without a success in between: an outage."""

OUTAGE_S = 20.0
"""An outage lasts at least so many seconds."""

_FOREIGN = frozenset({ErrorKind.UNREACHABLE, ErrorKind.NOT_JSON, ErrorKind.BAD_ENCODING, ErrorKind.BAD_REPLY})
_OUTAGE = _FOREIGN | {ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.SERVER}
_DETAIL_LIMIT = 300

_WRONG_URL = "Check the base URL: what answers there is no chat completions API (is a path like /v1 missing?)."
_ADVICE = {
    ErrorKind.DENIED: "Check the role's key, model and base URL, and the account's quota.",
    ErrorKind.REJECTED: "Check that this model takes the parameters it is asked with (temperature, max_tokens, seed).",
    ErrorKind.UNREACHABLE: "Check the base URL, and that the server runs and can be reached from here.",
    ErrorKind.RATE_LIMITED: "Its limits let nothing through for longer than a run waits: go on later, or raise them.",
    ErrorKind.TOO_LARGE: "Check the base URL, and the longest answer that is asked for.",
    ErrorKind.CONNECTION: "Check the server's log, and proxies on the way to it.",
    ErrorKind.TIMEOUT: "Check the server's load, the number of calls in flight and the request timeout.",
    ErrorKind.SERVER: "Check the server's log or the provider's status page.",
    ErrorKind.BAD_REPLY: _WRONG_URL,
    ErrorKind.NOT_JSON: _WRONG_URL,
    ErrorKind.BAD_ENCODING: "Check the base URL, and proxies on the way to it.",
}


class EndpointBroken(Exception):
    """Stops a step early, with the reason. What is paid is kept, and the same step goes on from there."""

    def __init__(self, endpoint: str, attempts: int, last: CompletionError) -> None:
        """`attempts` is how many in a row brought nothing, `last` what the last of them met."""
        status = "" if last.http_status is None else f" (HTTP {last.http_status})"
        detail = last.detail.rstrip(". ")
        detail = detail if len(detail) <= _DETAIL_LIMIT else detail[:_DETAIL_LIMIT] + " ..."
        super().__init__(
            f"{endpoint} is broken: {attempts} attempts in a row failed, the last with {last.kind.value}{status}: "
            f"{detail}. {_ADVICE[last.kind]} What is paid is kept: once this is mended, run the same step again and "
            f"it goes on from there."
        )
        self.endpoint = endpoint
        self.attempts = attempts
        self.kind = last.kind
        self.http_status = last.http_status


class Circuit:
    """Whether one endpoint is plainly broken. Once open it stays open.

    Kinds of failure are counted apart, each since the last success. Overload (429) never opens it, an answer that is
    too large is a question's own trouble, and so is a rejected request once the endpoint has answered others.
    """

    def __init__(self, endpoint: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`endpoint` names base URL and model in messages; `clock` gives seconds."""
        self._endpoint = endpoint
        self._clock = clock
        self._ever_succeeded = False
        self._failures: Counter[ErrorKind] = Counter()
        self._first_at: float | None = None
        """When the first failure of `_OUTAGE` since the last success came."""
        self._open: tuple[int, CompletionError] | None = None

    def check(self) -> None:
        """Raises EndpointBroken when the endpoint is."""
        if self._open is not None:
            raise EndpointBroken(self._endpoint, *self._open)

    def succeeded(self) -> None:
        """The endpoint answered: whatever failed before was not for good."""
        self._ever_succeeded = True
        if self._failures:
            self._failures.clear()
            self._first_at = None

    def open(self, error: CompletionError) -> None:
        """The endpoint will not answer for longer than a run may wait."""
        self._open = self._open or (1 + sum(self._failures.values()), error)

    def failed(self, error: CompletionError) -> None:
        """An attempt brought nothing. Opens the circuit when it was one too many."""
        if self._open is not None:
            return
        kind, now = error.kind, self._clock()
        self._failures[kind] += 1
        if self._first_at is None and kind in _OUTAGE:
            self._first_at = now
        attempts = self._attempts_that_broke_it(kind, now - (now if self._first_at is None else self._first_at))
        if attempts:
            self._open = (attempts, error)

    def _attempts_that_broke_it(self, kind: ErrorKind, lasted_s: float) -> int:
        """How many failures in a row make the endpoint broken, the last of this kind; 0 when it is not."""
        first = not self._ever_succeeded
        if kind is ErrorKind.DENIED:
            return self._at_least(DENIED_AT_FIRST if first else DENIED_LATER, frozenset({kind}))
        if kind is ErrorKind.REJECTED and first:
            return self._at_least(REJECTED_AT_FIRST, frozenset({kind}))
        if kind in _FOREIGN and first and lasted_s >= FOREIGN_AT_FIRST_S:
            attempts = self._at_least(FOREIGN_AT_FIRST, _FOREIGN)
            if attempts:
                return attempts
        if kind in _OUTAGE and lasted_s >= OUTAGE_S:
            return self._at_least(OUTAGE, _OUTAGE)
        return 0

    def _at_least(self, many: int, kinds: frozenset[ErrorKind]) -> int:
        """The number of failures of these kinds when it is `many` or more, otherwise 0."""
        attempts = sum(self._failures[kind] for kind in kinds)
        return attempts if attempts >= many else 0
