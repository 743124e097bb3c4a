"""Queries of one kind are tried on a few before many are paid: a step whose replies are all unusable ends early.

A kind is a role and a purpose: the expert's rewrites, the reviewer's verdicts. The first is asked alone, so that what
its endpoint does not take is refused once; until the first usable reply a few are under way at a time, and after
`TRIED` without any the step ends with the reason. Later it ends where as many in a row
are unusable for causes of one sort, and the replies before say that this is no chance (the model, or a limit, is
another now) or are few beside them.
While such a row grows, no more are sent than it may still take: those on their way when it began are paid, the rest
wait. One text for an answer to everything counts as well, a few in turn, or what was asked, though each reply alone
could be used; labels and choices do not (`canned`).

Verdicts take rewrites to be asked for. While one kind is tried, the others bring it what it may need, and no more.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.llm.rows import TRIED, Row, Texts, still_to_come
from teams_dagster.llm.unusable import ALIKE, NothingUsable

AT_FIRST = 8
"""Queries of one kind under way until one has brought something usable, once one has brought anything."""

LEADING = frozenset({Purpose.GUIDE, Purpose.REWRITE})
"""Purposes whose replies lead to queries of another kind: a few are under way until those can have been asked."""

BESIDE = 4
"""Queries of each kind that works which are under way while another one is tried: what follows from their replies is
counted when it is asked, a moment later."""

VERDICTS_AT_FIRST = 9
"""Verdicts are asked for after rewrites, which are paid as well: fewer are tried, so that both are 25 at most."""

MOST_DECLINED = 5 * TRIED
"""So many refusals in a row of what models often decline, nearly all there is, end the step. Fewer say little of the
model: seeds of one subject stand together."""


class Step:
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

    def __init__(self, role: Role, purpose: Purpose, step: Step, *, own_words: bool) -> None:
        self._role, self._purpose, self._step = role, purpose, step
        self.passed = False
        """Whether a reply could be used."""
        self._heard = False
        """Whether something came of a query."""
        self._tried = VERDICTS_AT_FIRST if purpose is Purpose.REVIEW else TRIED
        """So many that bring nothing usable end the step, before any that could be used."""
        self._leading = AT_FIRST if purpose in LEADING else 0
        """Usable replies that are still to come before all that are allowed are under way."""
        self._asked = self._under_way = self._sent = 0
        """Queries that wait or are under way, those under way, and those of them that were sent."""
        self._overtaken = 0
        """Usable replies of other kinds since one of this kind was asked last."""
        self._row = Row()
        """Of unusable replies."""
        self._causes = Counter[str]()
        """Those of the row."""
        self._declined = Row()
        """Of refusals that the texts may well be the reason for."""
        self._good = 0
        """Usable replies: a few more are under way while they are few."""
        self._texts = Texts() if own_words else None
        self._most_sent = math.inf
        """So many are sent at once at most, while a row may end the step."""

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

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None]:
        """Wait while enough are on their way; then one more is, for the block. Raises what ended the step."""
        while self._step.ended is None and self._sent >= self._most_sent:
            await self._step.wait()
        self._step.check()
        self._sent += 1
        try:
            yield
        finally:
            self._sent -= 1
            self._step.wake()

    def known_to_work(self, text: str) -> None:
        """An earlier reply, which `text` tells apart, could be used."""
        self._leading = 0
        self._good += 1
        self._row.others += 1
        self._declined.others += 1
        if self._texts is not None:
            self._texts.stored(text)
        if not self.passed:
            self._pass()

    def heard(self) -> None:
        """Something came of a query: it need not be alone any more."""
        if not self._heard:
            self._heard = True
            self._step.wake()

    def usable(self, asked: int, text: str, *, label: bool, brief: bool, told_apart: str) -> Exception | None:
        """A reply can be used: `text`, to what was `asked` (a hash). What ended the step where all get this text.

        A `label` may be the same to many, and `brief` answers few in turn; others are compared by what is `told_apart`.
        """
        if not self.passed:
            self._pass()
        for other in tuple(self._step.tried):
            other.overtake()
        self._leading = max(0, self._leading - 1)
        self._begin_anew()
        self._row.others += 1
        self._declined.others += 1
        self._good += 1
        self._most_sent = math.inf
        if label and self._texts is not None:
            self._texts.differ = True
        elif self._texts is not None:
            self._most_sent = self._texts.heard(asked, told_apart, brief=brief)
            if self._most_sent <= 0:
                found = Counter({ALIKE: self._texts.in_a_row})
                return self._end(found, 0, text, first=not self._texts.differ)
        return None

    def unusable(self, cause: str, limit: int, detail: str, *, of_the_texts: bool = False) -> Exception | None:
        """A reply cannot be used (its outcome, or what is wrong with it), or none came (the kind of failure).

        `limit` is the tokens it might take, `detail` what it said, `of_the_texts` whether it is a refusal that its text
        may well be the reason for. Returns what ended the step when it was one too many.
        """
        cause = str(cause)
        if of_the_texts:
            return self._declines(cause, limit, detail)
        self._causes[cause] += 1
        self._row.length += 1
        left: float = self._tried - self._row.length
        if self.passed:
            left = self._most_sent = still_to_come(self._row.length, self._row.is_no_chance_or_nearly_all)
        return None if left > 0 else self._end(self._causes.copy(), limit, detail, first=not self.passed)

    def _declines(self, cause: str, limit: int, detail: str) -> Exception | None:
        """A text was declined that well may be: the kind works, as far as that tells, unless nearly all are."""
        row = self._declined
        row.length += 1
        if row.length < MOST_DECLINED or not row.is_nearly_all(row.length):
            return None
        return self._end(Counter({cause: row.length}), limit, detail, first=not self.passed)

    def _end(self, found: Counter[str], limit: int, detail: str, *, first: bool) -> Exception | None:
        self._step.end(NothingUsable(self._role, self._purpose, found, limit, detail, first=first))
        return self._step.ended

    def _begin_anew(self) -> None:
        self._row.begin()
        self._declined.begin()
        self._causes.clear()

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
            return self._under_way < (min(AT_FIRST, self._tried - self._row.length) if self._heard else 1)
        if self._step.tried:
            return self._under_way < min(BESIDE, min(trial.wanted for trial in self._step.tried))
        if self._leading or (self._texts is not None and not self._texts.differ):
            return self._under_way < AT_FIRST
        return self._good >= TRIED or self._under_way < TRIED  # a few good ones may be the last

    @property
    def wanted(self) -> int:
        """Further queries of a kind that is tried which may be needed to tell whether it works."""
        return self._tried - self._row.length - self._asked
