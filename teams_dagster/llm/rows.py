"""Replies in a row that have something in common: whether that is chance, and how many more of them end a step."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable

from teams_dagster.llm.unusable import ALIKE, REPEATED

TRIED = 20
"""Queries of one kind that may bring nothing usable, one after another, before the step ends."""

CHANCE = 1e-6
"""After a usable reply, it ends where so many unusable ones in a row are less likely than this."""

NEARLY_ALL = 9
"""Replies for each other one that are nearly all there are."""

MEANT = TRIED // 4
"""So many stored replies of one text, one after another, show that it is meant: whoever was told of it went on."""

CANNED = 16
"""So many texts are remembered, to tell a model that says one of a few to everything."""

_LABEL_BYTES = 40
"""A text of fewer may be one of a few labels (`Science and technology`), each of which answers many queries."""

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


class Repeats:
    """Queries in a row that got one of the last few texts, word for word, which others had got before them.

    Texts that were written for what was asked do not do that; one of a few labels may.
    """

    def __init__(self) -> None:
        self._asked_for: OrderedDict[int, int] = OrderedDict()
        """The last texts, each with what was asked (a hash) when it came first."""
        self._row = set[int]()
        self._stored_in_a_row = 0

    @property
    def in_a_row(self) -> int:
        """How many, all different."""
        return len(self._row)

    def stored(self, asked: int, text: str) -> None:
        """An earlier run got `text`: a few such in a row show that it was told of them, and went on."""
        self._stored_in_a_row = self._stored_in_a_row + _is_no_label(text) if self._is_repeated(asked, text) else 0

    def heard(self, asked: int, text: str) -> float:
        """As `Texts.heard`."""
        if not self._is_repeated(asked, text):
            self._row.clear()
            return math.inf
        if _is_no_label(text):
            self._row.add(asked)
        meant = self._stored_in_a_row >= MEANT
        return math.inf if meant or self.in_a_row < MEANT else TRIED - self.in_a_row

    def _is_repeated(self, asked: int, text: str) -> bool:
        said = _plain(text)
        first = self._asked_for.setdefault(said, asked)
        self._asked_for.move_to_end(said)
        if len(self._asked_for) > CANNED:
            self._asked_for.popitem(last=False)
        return first != asked


class Texts:
    """What the replies to one kind of query say, where each is expected to say something else."""

    def __init__(self) -> None:
        self.repeats = Repeats()
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
    def found(self) -> Counter[str]:
        """What the replies that end a step have in common, and how many they are."""
        repeated = self.repeats.in_a_row >= TRIED > self.in_a_row
        return Counter({REPEATED: self.repeats.in_a_row} if repeated else {ALIKE: self.in_a_row})

    @property
    def in_a_row(self) -> int:
        """How many queries, all different, got the last text one after another."""
        return len(self._asked)

    def stored(self, asked: int, text: str) -> None:
        """An earlier run got `text` for what was `asked` (a hash)."""
        self.repeats.stored(asked, text)
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
        return min(self.repeats.heard(asked, text), self._alike(asked, text))

    def _alike(self, asked: int, text: str) -> float:
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


def _is_no_label(text: str) -> bool:
    return len(text.strip().encode()) >= _LABEL_BYTES


def _plain(text: str) -> int:
    """Equal for texts that differ in nothing but case, spaces and the signs around them."""
    return hash(" ".join(text.casefold().split()).strip(".!?。 \"'*`"))


def _log_beta(usable: int, unusable: int) -> float:
    """The logarithm of how likely so many replies of each sort are in one order, when any share is as likely."""
    return math.lgamma(usable + 1) + math.lgamma(unusable + 1) - math.lgamma(usable + unusable + 2)
