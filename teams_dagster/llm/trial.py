"""Queries of one kind are tried on a few before many are paid: a step whose replies are all unusable ends early.

A kind is a role and a purpose: the expert's rewrites, the reviewer's verdicts. The first is asked alone, so that what
its endpoint does not take is refused once; until the first usable reply a few are under way at a time, and after
`TRIED` without any the step ends with the reason. Later it ends where as many in a row
are unusable for one cause, and the replies before say that this is no chance: the model, or a limit, is another now.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from teams_dagster.core.protocol import Completion, Outcome, Purpose, QueryFailed, Request, Role
from teams_dagster.llm.circuit import naming_variables
from teams_dagster.llm.constraints import as_asked_for

TRIED = 20
"""Queries of one kind that may bring nothing usable, one after another, before the step ends."""

CHANCE = 1e-6
"""After a usable reply, it ends only where so many unusable ones in a row are less likely than this."""

AT_FIRST = 8
"""Queries of one kind under way until one has brought something usable, once one has brought anything."""

UNREADABLE = "unreadable"
"""A whole text that is not in the form its prompt asks for."""

_NAMES = {
    Purpose.REWRITE: "rewrites",
    Purpose.REVIEW: "verdicts",
    Purpose.RESPOND: "answers",
    Purpose.GUIDE: "choices of an operation",
    Purpose.JUDGE: "judgements",
    Purpose.RATE: "ratings",
}
"""What the replies to each purpose's queries are called, where that is not its name."""

_CAUSES = {
    Outcome.EMPTY: ("were empty", "Check {}MODEL, and that its chat template suits it."),
    Outcome.REFUSAL: ("were refused by the provider", "Check {}MODEL and the seeds that are asked about."),
    Outcome.TRUNCATED: ("were cut off at {limit:,} tokens", "Raise {}MAX_TOKENS."),
    Outcome.REASONING_ONLY: (
        "were all thinking (in {limit:,} tokens at most) and no answer",
        "Raise {}MAX_TOKENS, or let the model think less with {}EXTRA.",
    ),
    Outcome.UNFINISHED: (
        "have no finish reason that says they are whole",
        "Check the server behind {}BASE_URL: it must say `stop`, or its like, where a text is whole.",
    ),
    Outcome.MALFORMED: ("hold no text that can be kept", "Check {}MODEL."),
    UNREADABLE: (
        "were not in the form that the prompt asks for",
        "Check that {}MODEL can follow it; one that thinks aloud needs a reasoning parser.",
    ),
}
"""What became of the replies, and what to do; `{}` stands for the role's prefix, `TEAMS_EXPERT_` for one."""

_FAILED = ("failed ({cause})", "Check {}BASE_URL, {}MODEL and {}MAX_TOKENS.")


class NothingUsable(Exception):
    """Ends a step whose queries of one kind bring nothing that it can use. What is paid is kept."""

    def __init__(
        self, role: Role, purpose: Purpose, found: Counter[str], limit: int, detail: str, *, first: bool
    ) -> None:
        """`found` counts causes, `limit` is the tokens that the last reply might take, `detail` what it said.

        `first` says whether they are the first replies of their kind, or those after others that could be used.
        """
        cause, times = found.most_common(1)[0]
        became, advice = _CAUSES.get(cause, _FAILED)
        shown = f" The last: {' '.join(detail.split())[:200]!r}." if detail.strip() else ""
        which = "first" if first else "last"
        super().__init__(
            f"none of the {which} {found.total()} {_NAMES.get(purpose, purpose)} of {role.value} can be used: {times}"
            f" {became.format(limit=limit, cause=cause)}. {naming_variables(advice, role)}{shown}"
            " What is paid is kept: once this is fixed, run the same step again and it goes on from there."
        )
        self.role, self.purpose, self.cause = role, purpose, cause


class Trials:
    """The trials of an engine's kinds of query."""

    def __init__(self, readable: Callable[[Request, str], bool]) -> None:
        """`readable` says whether a reply is in the form its request asks for."""
        self._readable = readable
        self._trials: dict[tuple[Role, Purpose], Trial] = {}

    def turn(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Wait until one more query of the kind may be under way; it is, for the block. Raises NothingUsable."""
        return self._of(request).turn()

    def check(self, request: Request) -> None:
        """Raises NothingUsable where the kind's queries have ended."""
        self._of(request).check()

    def heard(self, request: Request) -> None:
        """Something came of a query: a reply, or a failure after which it is not written otherwise."""
        self._of(request).heard()

    def reused(self, request: Request, completion: Completion) -> None:
        """A stored answer: one that can be used shows that the kind works, others say nothing of what comes now."""
        trial = self._of(request)
        if not trial.passed and self._cause(request, completion) is None:
            trial.passed = True

    def answered(self, request: Request, completion: Completion) -> None:
        """What a query brought. Raises NothingUsable when it is one too many that cannot be used."""
        trial, cause = self._of(request), self._cause(request, completion)
        if cause is None:
            trial.usable()
        else:
            trial.unusable(cause, request.sampling.max_tokens, completion.text)

    def failed(self, request: Request, failure: QueryFailed) -> None:
        """A query brought nothing, after every attempt. Raises NothingUsable when it is one too many at first.

        Later the endpoint's circuit tells whether it is broken.
        """
        trial = self._of(request)
        if not trial.passed:
            trial.unusable(failure.kind, request.sampling.max_tokens, failure.detail)

    def _of(self, request: Request) -> Trial:
        kind = request.role, request.intent.purpose
        if (trial := self._trials.get(kind)) is None:
            trial = self._trials[kind] = Trial(*kind)
        return trial

    def _cause(self, request: Request, completion: Completion) -> str | None:
        """Why an answer cannot be used; None where it can."""
        if completion.outcome is not Outcome.USABLE:
            return completion.outcome
        return None if self._readable(request, as_asked_for(request, completion).text) else UNREADABLE


class Trial:
    """The replies to one kind of query. Used in one event loop."""

    def __init__(self, role: Role, purpose: Purpose) -> None:
        self._role, self._purpose = role, purpose
        self.passed = False
        """Whether a reply could be used."""
        self._heard = False
        """Whether something came of a query."""
        self._under_way = 0
        self._usable = self._unusable = 0
        """Replies before those in a row."""
        self._in_a_row = Counter[str]()
        """Unusable ones since the last usable one: at first of any cause, later of one."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ended: NothingUsable | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until one more query of the kind may be under way; it is, for the block. Raises NothingUsable."""
        while self._ended is None and not self.passed and not self._has_room():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self.check()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._wake()

    def check(self) -> None:
        """Raises NothingUsable once it was one too many."""
        if self._ended is not None:
            raise self._ended

    def heard(self) -> None:
        """Something came of a query: it need not be alone any more."""
        if not self._heard:
            self._heard = True
            self._wake()

    def usable(self) -> None:
        """A reply can be used."""
        self.passed = True
        self._begin_anew()
        self._usable += 1

    def unusable(self, cause: str, limit: int, detail: str) -> None:
        """A reply cannot be used (its outcome, or `UNREADABLE`), or none came (the kind of failure).

        `limit` is the tokens it might take, `detail` what it said. Raises NothingUsable when it was one too many.
        """
        if self.passed and str(cause) not in self._in_a_row:
            self._begin_anew()
        self._in_a_row[str(cause)] += 1
        if self._in_a_row.total() < TRIED or (self.passed and not self._is_no_chance(cause)):
            return
        first = not self.passed
        self._ended = self._ended or NothingUsable(
            self._role, self._purpose, self._in_a_row.copy(), limit, detail, first=first
        )
        raise self._ended

    def _begin_anew(self) -> None:
        self._unusable += self._in_a_row.total()
        self._in_a_row.clear()

    def _is_no_chance(self, cause: str) -> bool:
        """Whether the replies before make so many unusable ones in a row all but impossible (by Laplace's rule).

        A provider refuses texts, which come in their seeds' order: such a row says nothing of the model.
        """
        if cause == Outcome.REFUSAL:
            return False
        row = self._in_a_row.total()
        return _log_beta(self._usable, self._unusable + row) - _log_beta(self._usable, self._unusable) < math.log(
            CHANCE
        )

    def _has_room(self) -> bool:
        return self._under_way < (min(AT_FIRST, TRIED - self._in_a_row.total()) if self._heard else 1)

    def _wake(self) -> None:
        """Whoever waits looks again: a few at first, everybody once the kind works or has failed."""
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


def _log_beta(usable: int, unusable: int) -> float:
    """The logarithm of how likely so many replies of each sort are in one order, when any share is as likely."""
    return math.lgamma(usable + 1) + math.lgamma(unusable + 1) - math.lgamma(usable + unusable + 2)
