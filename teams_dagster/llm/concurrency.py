"""How many calls to one endpoint may be under way: as many as the user allows, fewer where the endpoint suffers."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

TOLERANCE = 2.0
"""Latencies above this multiple of what they can be are taken for a queue at the endpoint."""

CUT = 0.7
"""What an overload, or a queue, leaves of the limit."""

CUT_FOR_TIMEOUTS = 0.25
"""What calls that nothing came of in time leave of the limit."""

KEPT = 0.9
"""A cut for a queue stands when at least this share of the throughput is left; otherwise it was no queue."""

WINDOW_CALLS = 100
"""A window holds at least so many answers, and at least as many as the limit."""

WINDOW_ROUNDS = 4
"""While the limit is small, so many times the limit are enough: a hundred answers one by one take minutes."""

WINDOW_S = 1.0
"""A window lasts at least so long, and at least as long as one call."""

SATURATED = 0.8
"""Share of the limit that must be in use for a window to say anything about the limit."""

CREEP = 0.03
"""Growth per window, in parts of the limit at which the endpoint last refused calls, while the limit is near it."""

_SMALL = 3
"""A limit that is near one this small grows by a whole call per window: a part of it would take ages to be one."""

_NEAR, _PAST = 0.9, 1.15
_SAME_ROUND = 0.9
_BASELINE_CALLS = 20
_SHORTEST_DOUBT, _LONGEST_DOUBT = 8, 128
_SHORTEST_BURST_S, _LONGEST_BURST_S = 0.1, 2.0


class _Phase(Enum):
    OPEN = auto()
    """Looking for queues."""
    DRAINING = auto()
    """The limit fell: what comes back was sent under the old one."""
    JUDGING = auto()
    """The limit was cut for a queue: does throughput bear it?"""


class _Baseline:
    """The lowest level that the latencies of one kind of query had: a running mean of logs, and their minimum."""

    __slots__ = ("_count", "_sum", "level")

    def __init__(self) -> None:
        self.level = math.inf
        self._count, self._sum = 0, 0.0

    def add(self, log_latency: float) -> None:
        self._count += 1
        self._sum += log_latency
        if self._count == _BASELINE_CALLS:
            self.level = min(self.level, self._sum / self._count)
            self._count, self._sum = 0, 0.0


@dataclass
class _Window:
    """Sums over the answers since `began`."""

    began: float
    calls: int = 0
    in_flight: int = 0
    known: int = 0
    """Answers of a kind that has a baseline."""
    excess: float = 0.0
    """Sum of log(latency / baseline) over those."""

    @property
    def mean_in_flight(self) -> float:
        return self.in_flight / self.calls

    @property
    def mean_excess(self) -> float:
        return self.excess / self.known if self.known else 0.0

    @property
    def log_throughput(self) -> float:
        """Little's law: calls under way over latency, the latter in multiples of its baseline."""
        return math.log(self.in_flight / self.calls) - self.mean_excess


class AdaptiveLimit:
    """A limit of calls under way that adapts to refusals (429, 503) and to rising latency.

    It starts at `maximum`. A refusal cuts it to `CUT`, once in about one latency: the many refusals of one instant
    are one signal (AIMD, as TCP does). Afterwards it grows by its square root per window, and slowly near the limit at
    which calls were last refused (the plateau of CUBIC, RFC 9438).

    Servers that queue instead of refusing show it by latency alone. As in Gradient2 and Vegas of Netflix'
    concurrency-limits (https://github.com/Netflix/concurrency-limits) recent latency is compared with a baseline, here
    for each kind of query, in logarithms, so that neither a change of the mix nor a heavy tail matters. Other
    than there, where a high latency alone lowers the limit, a cut is an experiment: by Little's law throughput is calls
    under way over latency, so a queue's latency falls along with the limit and throughput stays. Where it does
    not stay (noise, longer texts, a server that batches), the limit goes back and the next experiment waits
    twice as long. Latency is thus bounded where that costs nothing, and nowhere else.

    Used in one event loop after another, never in two at a time; not thread-safe.
    """

    def __init__(self, maximum: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`maximum` is what the user allows (at least 1); `clock` gives seconds. Raises ValueError."""
        if maximum < 1:
            raise ValueError(f"a limit of {maximum} calls under way lets nothing through: allow at least 1")
        self._maximum = maximum
        self._clock = clock
        self._limit = float(maximum)
        self._in_flight = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._baselines: dict[str, _Baseline] = {}
        self._latency = 0.0
        self._refused_at = math.inf
        self._burst_over = self._timeouts_over = -math.inf
        self._phase = _Phase.OPEN
        self._window = _Window(clock())
        self._drained_at = -math.inf
        self._suspicious = False
        self._reference: _Window | None = None
        self._uncut = self._limit
        self._doubt, self._wait_windows = 0, 0

    @property
    def limit(self) -> int:
        """How many calls may be under way now: 1 to the maximum."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """How many calls are under way. More than the limit for a while after it fell."""
        return self._in_flight

    async def acquire(self) -> None:
        """Wait for a call's turn: first come, first served. Each needs one `release`, unless this was cancelled."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # whatever was under way in an earlier loop ended with it
            self._loop, self._in_flight = loop, 0
            self._waiters.clear()
        if self._in_flight < int(self._limit):  # then nobody waits: `_wake` handed out every turn there was
            self._in_flight += 1
            return
        turn = loop.create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the turn came together with the cancellation
                self.release()
            raise

    def release(self) -> None:
        """A call that had its turn is over. Raises RuntimeError when none is under way."""
        if self._in_flight == 0:
            raise RuntimeError("release() without acquire(): no call is under way")
        self._in_flight -= 1
        if self._waiters:
            self._wake()

    def succeeded(self, kind: str, latency_s: float) -> None:
        """A call of this kind was answered after `latency_s`; call it before `release`.

        Good for a call that timed out, too: its latency is at least that, and many of them mean a queue.
        """
        baseline = self._baselines.get(kind)
        if baseline is None:
            baseline = self._baselines[kind] = _Baseline()
        level = math.log(max(latency_s, 1e-6))
        self._latency += (latency_s - self._latency) * (0.05 if self._latency else 1.0)
        if self._phase is _Phase.DRAINING:
            if self._in_flight > self._limit or self._clock() < self._drained_at:
                return
            self._phase = _Phase.OPEN if self._reference is None else _Phase.JUDGING
            self._window = _Window(self._clock())
        if self._reference is None:  # two windows are compared by the same baselines
            baseline.add(level)
        window = self._window
        window.calls += 1
        window.in_flight += self._in_flight
        if baseline.level < math.inf:
            window.known += 1
            window.excess += level - baseline.level
        if window.calls >= self._limit and window.calls >= min(WINDOW_CALLS, WINDOW_ROUNDS * self._limit):
            now = self._clock()
            if now - window.began >= max(WINDOW_S, self._latency):
                self._window = _Window(now)
                if window.mean_in_flight >= SATURATED * int(self._limit):
                    self._conclude(window, now)

    def overloaded(self) -> None:
        """The endpoint refused a call for overload: 429 or 503."""
        now = self._clock()
        if now < self._burst_over:
            return
        self._burst_over = now + min(max(self._latency, _SHORTEST_BURST_S), _LONGEST_BURST_S)
        if self._phase is not _Phase.DRAINING:  # further cuts of a series: the endpoint takes nothing for now
            self._refused_at = self._limit
        self._reference = None
        self._cut(now)

    def timed_out(self, latency_s: float) -> bool:
        """Calls to the endpoint brought nothing within `latency_s`. Says whether the limit fell for it.

        It falls once for all calls that were sent under it, from what was under way, and by more than for a refusal:
        each such round takes as long as a call may.
        """
        now = self._clock()
        if now < self._timeouts_over or self.limit == 1:
            return False
        self._timeouts_over = now + _SAME_ROUND * latency_s
        self._refused_at = self._limit
        self._reference = None
        self._phase, self._drained_at = _Phase.DRAINING, now
        self._set(max(1.0, min(self._limit, self._in_flight) * CUT_FOR_TIMEOUTS))
        return True

    def _conclude(self, window: _Window, now: float) -> None:
        """What a full window, with the limit in use, says about the limit."""
        queueing = self.limit > 1 and window.mean_excess > math.log(TOLERANCE)  # one call is no queue
        if self._reference is not None and not self._stands(window, self._reference):
            return
        if not queueing:
            self._suspicious, self._reference, self._doubt = False, None, 0
            self._grow(math.sqrt(self._limit))
        elif self._wait_windows:
            self._wait_windows -= 1
            self._grow(1.0)
        elif self._suspicious:  # a second window in a row, or what the last cut left of the queue
            self._reference = self._reference or window
            self._uncut = self._limit
            self._cut(now)
        else:
            self._suspicious = True

    def _stands(self, window: _Window, reference: _Window) -> bool:
        """Whether throughput bore the cuts made since `reference`; the last of them is taken back where it did not."""
        self._phase = _Phase.OPEN
        if window.log_throughput - reference.log_throughput >= math.log(KEPT):
            return True
        if self._doubt:  # the second time in a row: such latencies are normal, at least by half
            for baseline in self._baselines.values():
                baseline.level += reference.mean_excess / 2
        self._doubt = min(max(_SHORTEST_DOUBT, self._doubt * 2), _LONGEST_DOUBT)
        self._wait_windows, self._suspicious, self._reference = self._doubt, False, None
        self._set(self._uncut)
        return False

    def _cut(self, now: float) -> None:
        self._phase = _Phase.DRAINING
        self._drained_at = now + self._latency
        self._set(max(1.0, self._limit * CUT))

    def _grow(self, step: float) -> None:
        """One window's growth, slower near the limit at which calls were refused, which is forgotten once passed."""
        if self._limit > _PAST * self._refused_at:
            self._refused_at = math.inf
        if self._limit >= _NEAR * self._refused_at:
            step = min(step, max(CREEP * self._refused_at, 1.0 if self._refused_at <= _SMALL else 0.0))
        elif self._refused_at < math.inf:
            step = min(step, max(1.0, _NEAR * self._refused_at - self._limit))
        self._set(min(float(self._maximum), self._limit + step))

    def _set(self, limit: float) -> None:
        self._limit = limit
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        """Hand out turns while there are any, so that nobody waits while a call may start."""
        limit = int(self._limit)
        while self._waiters and self._in_flight < limit:
            turn = self._waiters.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)
