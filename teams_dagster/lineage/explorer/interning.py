"""Texts and names of the page, each held once and told apart by number."""

from __future__ import annotations

import hashlib

from teams_dagster.core.text import visible

NOTHING = -1
"""The number of what is NULL."""

MOST_CHARACTERS = 250_000_000
"""Of all texts of a page: what a browser holds, twice, beside its tables."""


class ExplorerError(ValueError):
    """The page cannot be made; the message says why, and what to do."""


class Texts:
    """Long texts. Those not written yet wait in `pending`; of the others only their hashes stay in memory."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self.pending: list[str] = []
        self.pending_characters = 0
        self.count = 0
        self.characters = 0
        self._most_characters = most_characters
        self._known: dict[bytes, int] = {}

    def number(self, text: str | None) -> int:
        """The number of `text`, made visible. Raises ExplorerError when all texts are too much for one page."""
        if text is None:
            return NOTHING
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._known.get(digest)
        return self._add(digest, visible(text)) if known is None else known

    def _add(self, digest: bytes, text: str) -> int:
        self.characters += len(text)
        if self.characters > self._most_characters:
            raise ExplorerError(
                f"the texts have more than {self._most_characters:,} characters, the most that one page can hold:"
                " choose fewer samples, for instance those of one generation"
            )
        number = self._known[digest] = self.count
        self.count += 1
        self.pending.append(text)
        self.pending_characters += len(text)
        return number

    def taken(self) -> list[str]:
        """What waits, to be written now."""
        waiting, self.pending, self.pending_characters = self.pending, [], 0
        return waiting


class Names:
    """Short strings that repeat: operations, versions, models."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """The number of `name`, made visible."""
        return NOTHING if name is None else self._numbers.setdefault(visible(name), len(self._numbers))

    def all(self) -> list[str]:
        """Every name, by its number."""
        return list(self._numbers)
