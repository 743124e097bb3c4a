"""Queries of one kind are tried on a few before many are paid: a step whose replies are all unusable ends early.

A kind is a role and a purpose: the expert's rewrites, the reviewer's verdicts. The first is asked alone, so that what
its endpoint does not take is refused once; until the first usable reply a few are under way at a time, and after
`TRIED` without any the step ends with the reason. Later it ends where as many in a row
are unusable for one cause, and the replies before say that this is no chance: the model, or a limit, is another now.

Verdicts take rewrites to be asked for. While one kind is tried, the others bring it what it may need, and no more.
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

LEADING = frozenset({Purpose.GUIDE, Purpose.REWRITE})
"""Purposes whose replies lead to queries of another kind: a few are under way until those can have been asked."""

BESIDE = 4
"""Queries of each kind that works which are under way while another one is tried: what follows from their replies is
counted when it is asked, a moment later."""

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
        self._step = _Step()

    def turn(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Wait until one more query of the kind may be under way; it is, for the block. Raises what ended the step."""
        return self._of(request).turn()

    def end(self, reason: Exception) -> None:
        """The step ends for `reason`: nothing more of any kind is sent."""
        self._step.end(reason)

    def check(self, request: Request) -> None:
        """Raises what ended the step."""
        self._step.check()

    def heard(self, request: Request) -> None:
        """Something came of a query: a reply, or a failure after which it is not written otherwise."""
        self._of(request).heard()

    def reused(self, request: Request, completion: Completion) -> None:
        """A stored answer: one that can be used shows that the kind works, others say nothing of what comes now."""
        trial = self._of(request)
        if not trial.passed and self._cause(request, completion) is None:
            trial.known_to_work()

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
            trial = self._trials[kind] = Trial(*kind, self._step)
        return trial

    def _cause(self, request: Request, completion: Completion) -> str | None:
        """Why an answer cannot be used; None where it can."""
        if completion.outcome is not Outcome.USABLE:
            return completion.outcome
        return None if self._readable(request, as_asked_for(request, completion).text) else UNREADABLE


class _Step:
    """What the kinds of a step have in common: which are tried now, who waits, and what ended it."""

    def __init__(self) -> None:
        self.tried: set[Trial] = set()
        """The kinds that were asked and have brought nothing usable yet."""
        self.ended: Exception | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def check(self) -> None:
        """Raises what ended the step."""
        if self.ended is not None:
            raise self.ended

    def end(self, reason: Exception) -> None:
        """Nothing more is sent, for `reason`; the first reason stays."""
        self.ended = self.ended or reason
        self.wake()

    async def wait(self) -> None:
        """Until something changes."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def wake(self) -> None:
        """Whoever waits looks again: a few at first, everybody once the kinds work or have failed."""
        if self._waiting:
            waiting, self._waiting = self._waiting, deque()
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)


class Trial:
    """The replies to one kind of query. Used in one event loop."""

    def __init__(self, role: Role, purpose: Purpose, step: _Step) -> None:
        self._role, self._purpose, self._step = role, purpose, step
        self.passed = False
        """Whether a reply could be used."""
        self._heard = False
        """Whether something came of a query."""
        self._leading = AT_FIRST if purpose in LEADING else 0
        """Usable replies that are still to come before all that are allowed are under way."""
        self._asked = self._under_way = 0
        """Queries that wait or are under way, and those under way."""
        self._overtaken = 0
        """Usable replies of other kinds since one of this kind was asked last."""
        self._usable = self._unusable = 0
        """Replies before those in a row."""
        self._in_a_row = Counter[str]()
        """Unusable ones since the last usable one: at first of any cause, later of one."""

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until one more query of the kind may be under way; it is, for the block. Raises what ended the step."""
        if not self.passed:
            self._step.tried.add(self)
            self._overtaken = 0
        self._asked += 1
        try:
            while self._step.ended is None and not self._has_room():
                await self._step.wait()
            self._step.check()
            self._under_way += 1
            try:
                yield
            finally:
                self._under_way -= 1
        finally:
            self._asked -= 1
            self._step.wake()

    def known_to_work(self) -> None:
        """An earlier reply could be used."""
        self._leading = 0
        self._pass()

    def heard(self) -> None:
        """Something came of a query: it need not be alone any more."""
        if not self._heard:
            self._heard = True
            self._step.wake()

    def usable(self) -> None:
        """A reply can be used."""
        if not self.passed:
            self._pass()
        for other in tuple(self._step.tried):
            other.overtake()
        self._leading = max(0, self._leading - 1)
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
        self._step.end(NothingUsable(self._role, self._purpose, self._in_a_row.copy(), limit, detail, first=first))
        self._step.check()

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

    def overtake(self) -> None:
        """Another kind brought something: one that nobody asks any more holds up none for long."""
        self._overtaken += 1
        if self._overtaken >= TRIED and not self._asked:
            self._step.tried.discard(self)
            self._step.wake()

    def _pass(self) -> None:
        self.passed = True
        self._step.tried.discard(self)
        self._step.wake()

    def _has_room(self) -> bool:
        if not self.passed:
            return self._under_way < (min(AT_FIRST, TRIED - self._in_a_row.total()) if self._heard else 1)
        if self._step.tried:
            return self._under_way < min(BESIDE, min(trial.wanted for trial in self._step.tried))
        return not self._leading or self._under_way < AT_FIRST

    @property
    def wanted(self) -> int:
        """Further queries of a kind that is tried which may be needed to tell whether it works."""
        return TRIED - self._in_a_row.total() - self._asked


def _log_beta(usable: int, unusable: int) -> float:
    """The logarithm of how likely so many replies of each sort are in one order, when any share is as likely."""
    return math.lgamma(usable + 1) + math.lgamma(unusable + 1) - math.lgamma(usable + unusable + 2)
