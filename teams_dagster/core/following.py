"""Two sequences in the same order, read side by side: the one is asked for what belongs to each of the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Following(Generic[Value]):
    """Values by key, asked for in about the order in which they come. Memory holds those that were passed over."""

    def __init__(self, values: Iterable[tuple[str, Value]]) -> None:
        """`values` have each key once; they are read as they are asked for."""
        self._coming = iter(values)
        self._passed: dict[str, Value] = {}

    def take(self, key: str) -> Value | None:
        """The value of `key`, once; None where it has none. To look for one that has none reads all of them."""
        while key not in self._passed:
            following = next(self._coming, None)
            if following is None:
                return None
            self._passed[following[0]] = following[1]
        return self._passed.pop(key)

    def rest(self) -> Iterator[tuple[str, Value]]:
        """What was not taken, in its order."""
        yield from self._passed.items()
        yield from self._coming
