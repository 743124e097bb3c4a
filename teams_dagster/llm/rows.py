"""Replies in a row that have something in common: whether that is chance, and how many more of them end a step."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

TRIED = 20
"""Queries of one kind that may bring nothing usable, one after another, before the step ends."""

CHANCE = 1e-6
"""After a usable reply, it ends where so many unusable ones in a row are less likely than this."""

NEARLY_ALL = 9
"""Replies for each other one that are nearly all there are."""

MEANT = TRIED // 4
"""So many stored replies of one text, one after another, show that it is meant: whoever was told of it went on."""

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


class Texts:
    """What the replies to one kind of query say, where each is expected to say something else."""

    def __init__(self) -> None:
        self.differ = False
        """Whether two of them do, or their being alike is meant."""
        self._last: int | None = None
        self._asked = set[int]()
        """What was asked by those that got the last text, one after another."""
        self._row = Row()
        self._stored: int | None = None
        self._stored_in_a_row = 0
        self._meant = set[int]()

    @property
    def in_a_row(self) -> int:
        """How many queries, all different, got the last text one after another."""
        return len(self._asked)

    def stored(self, text: str) -> None:
        """An earlier run got `text`."""
        said = _plain(text)
        if said != self._stored:
            self.differ = self.differ or self._stored is not None
            self._stored, self._stored_in_a_row = said, 0
            self._row.others += 1
        self._stored_in_a_row += 1
        if self._stored_in_a_row >= MEANT:
            self._meant.add(said)

    def heard(self, asked: int, text: str) -> float:
        """What was `asked` (a hash) got `text`. How many more replies like it end the step; 0: it ends."""
        said = _plain(text)
        if said != self._last:
            self.differ = self.differ or self._last is not None
            self._last = said
            self._asked.clear()
            self._row.begin()
            self._row.others += 1
        self._asked.add(asked)
        self._row.length = self.in_a_row - 1
        if said in self._meant:
            self.differ = True
            return math.inf
        if not self.differ:
            return TRIED - self.in_a_row
        if not self._row.length:
            return math.inf
        return still_to_come(self.in_a_row, lambda length: self._row.is_no_chance(length - 1))


def _plain(text: str) -> int:
    """Equal for texts that differ in nothing but case, spaces and the signs around them."""
    return hash(" ".join(text.casefold().split()).strip(".!?。 \"'*`"))


def _log_beta(usable: int, unusable: int) -> float:
    """The logarithm of how likely so many replies of each sort are in one order, when any share is as likely."""
    return math.lgamma(usable + 1) + math.lgamma(unusable + 1) - math.lgamma(usable + unusable + 2)
