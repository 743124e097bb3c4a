"""Replies in a row that have something in common: whether that is chance, and how many more of them end a step."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable

from teams_dagster.llm.canned import plainly

TRIED = 20
"""Queries of one kind that may bring nothing usable, one after another, before the step ends."""

CHANCE = 1e-6
"""After a usable reply, it ends where so many unusable ones in a row are less likely than this."""

NEARLY_ALL = 9
"""Replies for each other one that are nearly all there are."""

MEANT = TRIED // 4
"""So many of `TRIED` stored replies that are one text show that it is meant: whoever was told of it went on."""

_AHEAD = 256
"""A row that takes more than this to end the step holds up nobody yet."""


class Row:
    """Replies in a row that have something in common, and how usual that was among the replies before."""

    def __init__(self) -> None:
        self.others = self.alike = 0
        """Replies before the row that did not have it, and that did."""
        self.length = 0

    def begin(self) -> None:
        """The next reply that has it is the first of a new row."""
        self.alike, self.length = self.alike + self.length, 0

    def is_no_chance(self, length: int) -> bool:
        """Whether the replies before make so long a row all but impossible (by Laplace's rule)."""
        together = _log_beta(self.others, self.alike + length)
        return together - _log_beta(self.others, self.alike) < math.log(CHANCE)

    def is_nearly_all(self, length: int) -> bool:
        """Whether the row would be nearly all there is."""
        return length >= NEARLY_ALL * (self.others + self.alike)

    def is_no_chance_or_nearly_all(self, length: int) -> bool:
        """Whether it would be either: few usable replies say too little for the one, and are too few for the other."""
        return self.is_nearly_all(length) or self.is_no_chance(length)


def still_to_come(length: int, ends: Callable[[int], bool]) -> float:
    """How many more replies a row takes until it `ends` the step; infinitely many where it is not near to that."""
    lengths = range(max(length, TRIED), length + _AHEAD)
    first = bisect_left(lengths, True, key=ends)
    return lengths[first] - length if first < len(lengths) else math.inf


FEW_TEXTS = 2.5
"""Canned texts are at least so many times fewer than the replies that they are of."""

_SINGLE = 4
"""So many of the last replies may say what no other does, where the rest are canned: each of these may be the next."""

_SUSPICIOUS = 6
"""So many replies may repeat each other by chance."""


class Window:
    """The last replies, to queries that all differ, of a kind that is expected to say something else to each."""

    def __init__(self) -> None:
        self._last: deque[tuple[int, str]] = deque(maxlen=TRIED + _SINGLE)

    def heard(self, asked: int, said: str) -> int:
        """How many of the last replies, this one included, are of a few texts, each said more than once."""
        if any(asked == other for other, _ in self._last):
            return 0
        self._last.append((asked, said))
        said_so_often, repeated, canned = Counter[str](), 0, 0
        for replies, (_, text) in enumerate(reversed(self._last), start=1):
            said_so_often[text] += 1
            repeated += {1: 0, 2: 2}.get(said_so_often[text], 1)
            single = replies - repeated
            if single <= _SINGLE and (len(said_so_often) - single) * FEW_TEXTS <= repeated:
                canned = repeated
        return canned if canned >= _SUSPICIOUS else 0


class Texts:
    """What the replies to one kind of query say, where each is expected to say something else."""

    def __init__(self) -> None:
        self.differ = False
        """Whether two of them do, or their being alike is meant."""
        self._last: str | None = None
        self._of_few = 0
        """How many of the last replies are few texts."""
        self._asked = set[int]()
        """What was asked by those that got the last text, one after another."""
        self._row = Row()
        self._stored: deque[str] = deque(maxlen=TRIED)
        self._meant = set[str]()
        self._window = Window()

    @property
    def in_a_row(self) -> int:
        """How many queries, all different, got the last text one after another, or a few texts in turn."""
        return max(len(self._asked), self._of_few)

    def stored(self, text: str) -> None:
        """An earlier run got `text`."""
        said = plainly(text)
        if not self._stored or said != self._stored[-1]:
            self.differ = self.differ or bool(self._stored)
            self._row.others += 1
        self._stored.append(said)
        if self._stored.count(said) >= MEANT:
            self._meant.add(said)

    def heard(self, asked: int, text: str, *, brief: bool = False) -> float:
        """What was `asked` (a hash) got `text`. How many more replies like it end the step; 0: it ends.

        `brief` ones may be few texts in turn.
        """
        said = plainly(text)
        if said != self._last:
            self.differ = self.differ or self._last is not None
            self._last = said
            self._asked.clear()
            self._row.begin()
            self._row.others += 1
        self._asked.add(asked)
        alike = len(self._asked)
        self._row.length = alike - 1
        if said in self._meant:
            self.differ = True
            return math.inf
        self._of_few = 0 if brief else self._window.heard(asked, said)
        of_few = TRIED - self._of_few if self._of_few else math.inf
        if not self.differ:
            return min(of_few, TRIED - alike)
        if not self._row.length:
            return of_few
        return min(of_few, still_to_come(alike, lambda length: self._row.is_no_chance(length - 1)))


def _log_beta(usable: int, unusable: int) -> float:
    """The logarithm of how likely so many replies of each sort are in one order, when any share is as likely."""
    return math.lgamma(usable + 1) + math.lgamma(unusable + 1) - math.lgamma(usable + unusable + 2)
