"""Stopping a step early, with the reason, when an endpoint is plainly broken."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta

from teams_dagster.core.protocol import CompletionError, ErrorKind, QueryFailed, Role
from teams_dagster.llm.retries import LONGEST_WAIT_S

DENIED_AT_FIRST = 3
"""Refusals of key, model or URL before any success: they are wrong."""

DENIED_LATER = 20
"""The same after a success: the key expired, or the quota is used up. Fewer may be one query's trouble."""

REJECTED_AT_FIRST = 10
"""Rejected requests before any success: a parameter that the endpoint does not take."""

FOREIGN_AT_FIRST = 12
"""Unreachable, or answers that are no chat completion, before any success: a wrong URL."""

BROKEN_OFF_AT_FIRST = 16
"""Answers that the server broke off, before any success: they may be billed, and the next ones will be no better."""

FOREIGN_AT_FIRST_S = 1.0
"""These must spread over so many seconds: all that is sent at one instant meets the same hiccup."""

IN_TROUBLE = 8
"""Attempts in a row that brought nothing, timeouts aside: whether anything comes at all is tried one by one."""

OUTAGE = 20
"""So many in a row are an outage, where they were made for `OUTAGE_QUERIES` queries."""

OUTAGE_QUERIES = 10
"""Fewer may be those that no server survives: the last of a step have no others beside them that are answered."""

OUTAGE_QUERIES_AT_FIRST = 3
"""Before any success nothing says that a server survives another query."""

OUTAGE_AT_ALL = 100
"""Attempts without an answer, timeouts among them, and without a success in between: an outage in any case."""

OUTAGE_S = 20.0
"""An outage lasts at least so many seconds."""

STALLED_S = 480.0
"""An endpoint from which nothing came for so long, though it was asked all the time, ends the step."""

REFUSED_AT_FIRST_S = 180.0
"""The same before any answer, where all was refused for overload and no end was named: by then a limit of a minute lets
something through, also where others use up the next minute and the longest pauses lie between attempts."""

STALLED_CALLS = 3.0
"""That is at least as long as so many calls take, one after another, the last of which had the endpoint to itself."""

_FOREIGN = frozenset({ErrorKind.UNREACHABLE, ErrorKind.NOT_JSON, ErrorKind.BAD_ENCODING, ErrorKind.BAD_REPLY})
_TROUBLE = _FOREIGN | {ErrorKind.CONNECTION, ErrorKind.SERVER, ErrorKind.INCOMPLETE}
_MET = _TROUBLE - {ErrorKind.UNREACHABLE}
"""A server was met, and brought nothing: before any success so many in a row are enough, however quickly they came."""
_OUTAGE = _TROUBLE | {ErrorKind.TIMEOUT}
_STALL = _OUTAGE | {ErrorKind.RATE_LIMITED}
_OF_SETTINGS = frozenset(
    {
        ErrorKind.DENIED,
        ErrorKind.UNLOADABLE,
        ErrorKind.RATE_LIMITED,
        ErrorKind.UNREACHABLE,
        ErrorKind.NOT_JSON,
        ErrorKind.BAD_REPLY,
        ErrorKind.BAD_ENCODING,
    }
)
"""Failures that a key, a model or an address brings: a wrong one, or one whose limits are used up."""

_DETAIL_LIMIT = 300

_WRONG_URL = "Check {}BASE_URL: what answers there is no chat completions API (is a path like /v1 missing?)."
_ONE_OF_THEM = "Check {}MODEL and {}API_KEY: one of them is refused, as the answer says."
_OF_STATUS = {
    400: _ONE_OF_THEM,
    422: _ONE_OF_THEM,
    401: "Check {}API_KEY: it is wrong, or has expired.",
    402: "Check the credit of the account behind {}API_KEY.",
    403: "Check that {}API_KEY may use {}MODEL.",
    404: "Check {}BASE_URL (is a path like /v1 missing?) and {}MODEL: there is no such address, or no such model.",
    405: _WRONG_URL,
    429: "Check the quota of the account behind {}API_KEY: go on when it is there again.",
}
"""What to check when an endpoint answers nothing to a key, a model or an address."""

_ADVICE = {
    ErrorKind.DENIED: "Check {}API_KEY, {}MODEL and {}BASE_URL, and the account's quota.",
    ErrorKind.UNLOADABLE: "Check {}MODEL: it is to name weights that can be loaded here.",
    ErrorKind.UNSUPPORTED: "Check what this model takes: {}OMIT leaves parameters out, {}EXTRA adds some.",
    ErrorKind.REJECTED: "Check what this model takes: {}OMIT leaves parameters out, {}MAX_TOKENS bounds its answers.",
    ErrorKind.UNREACHABLE: "Check {}BASE_URL, and that the server runs and can be reached from here.",
    ErrorKind.RATE_LIMITED: "Its rate limit lets nothing through for longer than a run waits: go on later, send less by"
    " {}RPM and {}TPM, or raise the limit of the account behind {}API_KEY.",
    ErrorKind.TOO_LONG: "Check the context that {}MODEL is served with: it is shorter than what is asked.",
    ErrorKind.TOO_LARGE: "Check {}BASE_URL, and {}MAX_TOKENS.",
    ErrorKind.CONNECTION: "Check the log of the server at {}BASE_URL, and proxies on the way to it.",
    ErrorKind.TIMEOUT: "Check the server's load, {}TIMEOUT_S and TEAMS_MAX_IN_FLIGHT, and {}MAX_TOKENS.",
    ErrorKind.SERVER: "Check the log of the server at {}BASE_URL, or its provider's status page.",
    ErrorKind.BAD_REPLY: "Check {}BASE_URL (is a path like /v1 missing?), {}MODEL, and {}API_KEY with its account: what"
    " comes back is no chat completion.",
    ErrorKind.NOT_JSON: _WRONG_URL,
    ErrorKind.BAD_ENCODING: "Check {}BASE_URL, and proxies on the way to it.",
    ErrorKind.INCOMPLETE: "Check {}MODEL, and the server's log or the provider's status page.",
}
"""What to check; `{}` stands for the role's prefix, `TEAMS_EXPERT_` for one."""


class EndpointBroken(Exception):
    """Stops a step early, with the reason. What is paid is kept, and the same step goes on from there."""

    def __init__(
        self, endpoint: str, role: Role, attempts: int, last: CompletionError, minutes: float | None = None
    ) -> None:
        """`attempts` is how many in a row brought nothing, `last` what the last of them met, in so many `minutes`."""
        detail = " ".join(last.detail.split()).rstrip(". ")
        if len(detail) > _DETAIL_LIMIT:  # a setting that helps is named at the end
            detail = f"{detail[: _DETAIL_LIMIT // 2]} ... {detail[-_DETAIL_LIMIT // 2 :]}"
        helps = "" if f"TEAMS_{role.name}_" in detail else f" {advice(last, role)}"
        lasted = "" if minutes is None else f" in {minutes:.0f} minutes"
        failed = (
            f"{attempts} attempts in a row failed{lasted}, the last with" if attempts > 1 else "an attempt failed with"
        )
        super().__init__(
            f"{endpoint} is broken: {failed} {last.kind.value}: {detail}.{helps} What is paid is kept: once this is"
            " fixed, run the same step again and it goes on from there."
        )
        self.endpoint = endpoint
        self.attempts = attempts
        self.kind = last.kind
        self.http_status = last.http_status


def advice(last: CompletionError, role: Role) -> str:
    """What to check after a failure, by the names of the role's variables; and when a pause ends that it asks for."""
    denied = last.kind is ErrorKind.DENIED
    template = (_OF_STATUS.get(last.http_status or 0) if denied else None) or _ADVICE[last.kind]
    named = naming_variables(template, role)
    if last.retry_after is None or last.kind not in (ErrorKind.RATE_LIMITED, ErrorKind.SERVER):
        return named
    ends = datetime.now().astimezone() + timedelta(seconds=last.retry_after)
    return f"It asks to be left alone until {ends:%Y-%m-%d %H:%M %Z}. {named}"


def naming_variables(template: str, role: Role) -> str:
    """Advice with a role's variables for each `{}`, and those that serve every role, which people may have set."""
    own = f"TEAMS_{role.name}_"
    shared = [f"TEAMS_{name}" for name in ("API_KEY", "BASE_URL", "MODEL") if f"{{}}{name}" in template]
    return template.replace("{}", own) + (f" (Where the role has none: {', '.join(shared)}.)" if shared else "")


def given_up(error: CompletionError, role: Role, attempts: int) -> QueryFailed:
    """The failure of a query. One that the endpoint's settings cause says which to check: it may be the only one.

    So does one that a server puts off for longer than a run waits.
    """
    if error.kind not in _OF_SETTINGS and (error.retry_after or 0.0) <= LONGEST_WAIT_S:
        return QueryFailed(error.kind, error.detail, attempts)
    return QueryFailed(error.kind, f"{error.detail.rstrip('. ')}. {advice(error, role).rstrip('.')}", attempts)


def told(error: CompletionError, role: Role) -> str:
    """What failed, and what to check unless it says so itself."""
    said = str(error.for_role(role)).rstrip(". ")
    return f"{said}." if f"TEAMS_{role.name}_" in said else f"{said}. {advice(error, role)}"


class Circuit:
    """Whether one endpoint is plainly broken. Once open it stays open.

    Kinds of failure are counted apart, each since the last success. Overload (429) opens it only where nothing comes
    through for long, an answer that is too large is a query's own trouble, and so is a rejected request once the
    endpoint has answered others.
    """

    def __init__(self, endpoint: str, role: Role, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`endpoint` names base URL and model in messages, `role` the variables to check; `clock` gives seconds."""
        self._endpoint = endpoint
        self._role = role
        self._clock = clock
        self._ever_succeeded = False
        self._failures: Counter[ErrorKind] = Counter()
        self._unanswered: set[Hashable] = set()
        """The queries of `_TROUBLE` since the last success."""
        self._first_at: float | None = None
        """When the first failure of `_OUTAGE` since the last success came."""
        self._stalled_since: float | None = None
        """When the first attempt was sent that failed since the last success."""
        self._open: tuple[int, CompletionError, float | None] | None = None
        """How many attempts brought nothing, what the last of them met, and in how many minutes where these told."""

    def check(self) -> None:
        """Raises EndpointBroken when the endpoint is."""
        if self._open is not None:
            raise EndpointBroken(self._endpoint, self._role, *self._open)

    @property
    def stalled_s(self) -> float:
        """For how many seconds nothing came of what was sent; 0 when the last attempt was answered."""
        return 0.0 if self._stalled_since is None else self._clock() - self._stalled_since

    @property
    def in_trouble(self) -> bool:
        """Whether so little comes back that calls are to be made one after another.

        Refusals for overload say so before any answer: some limits count what they refuse.
        """
        return self._at_least(IN_TROUBLE, _TROUBLE if self._ever_succeeded else _STALL - {ErrorKind.TIMEOUT}) > 0

    def succeeded(self) -> None:
        """The endpoint answered: whatever failed before was not for good."""
        self._ever_succeeded = True
        if self._failures:
            self._failures.clear()
            self._unanswered.clear()
            self._first_at = self._stalled_since = None

    def open(self, error: CompletionError) -> None:
        """The endpoint will not answer for longer than a run may wait."""
        self._open = self._open or (1 + sum(self._failures.values()), error, None)

    def failed(self, error: CompletionError, latency_s: float = 0.0, *, query: Hashable) -> None:
        """An attempt at `query` brought nothing, after `latency_s`. Opens the circuit when it was one too many."""
        if self._open is not None:
            return
        kind, now = error.kind, self._clock()
        self._failures[kind] += 1
        if kind in _TROUBLE:
            self._unanswered.add(query)
        if self._stalled_since is None:
            self._stalled_since = now - latency_s
        stalled_s = now - self._stalled_since
        if kind in _STALL and stalled_s >= max(self._patience_s(error), STALLED_CALLS * latency_s):
            self._open = (self._at_least(1, _STALL), error, stalled_s / 60)
            return
        if self._first_at is None and kind in _OUTAGE:
            self._first_at = now
        attempts = self._attempts_that_broke_it(kind, now - (now if self._first_at is None else self._first_at))
        if attempts:
            self._open = (attempts, error, None)

    def _patience_s(self, error: CompletionError) -> float:
        """For how long nothing may come, the last attempt having met `error`."""
        refused = self._failures[ErrorKind.RATE_LIMITED] == self._failures.total()
        endless = refused and error.retry_after is None and not self._ever_succeeded
        return REFUSED_AT_FIRST_S if endless else STALLED_S

    def _attempts_that_broke_it(self, kind: ErrorKind, lasted_s: float) -> int:
        """How many failures in a row make the endpoint broken, the last of this kind; 0 when it is not."""
        first = not self._ever_succeeded
        if kind is ErrorKind.DENIED:
            return self._at_least(DENIED_AT_FIRST if first else DENIED_LATER, frozenset({kind}))
        if kind in (ErrorKind.UNSUPPORTED, ErrorKind.UNLOADABLE):
            return self._at_least(1 if first else DENIED_LATER, frozenset({kind}))
        if kind is ErrorKind.REJECTED and first:
            return self._at_least(REJECTED_AT_FIRST, frozenset({kind}))
        if kind is ErrorKind.INCOMPLETE and first:
            return self._at_least(BROKEN_OFF_AT_FIRST, frozenset({kind}))
        if kind in _FOREIGN and first and lasted_s >= FOREIGN_AT_FIRST_S:
            attempts = self._at_least(FOREIGN_AT_FIRST, _FOREIGN)
            if attempts:
                return attempts
        if kind in _MET and first and (attempts := self._at_least(OUTAGE, _MET)):
            return attempts
        if kind not in _OUTAGE or lasted_s < OUTAGE_S:
            return 0
        several = len(self._unanswered) >= (OUTAGE_QUERIES_AT_FIRST if first else OUTAGE_QUERIES)
        return (several and self._at_least(OUTAGE, _TROUBLE)) or self._at_least(OUTAGE_AT_ALL, _OUTAGE)

    def _at_least(self, many: int, kinds: frozenset[ErrorKind]) -> int:
        """The number of failures of these kinds when it is `many` or more, otherwise 0."""
        attempts = sum(self._failures[kind] for kind in kinds)
        return attempts if attempts >= many else 0
