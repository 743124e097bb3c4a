"""Which stored texts share words in a row with the texts that models are scored on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from teams_dagster.instructions.ngrams import NgramIndex
from teams_dagster.instructions.seed_files import texts_in


@dataclass(frozen=True)
class StoredText:
    """A seed or a sample by its id, with its parts: instruction, input, response."""

    text_id: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """A text that shares an n-gram with an evaluation file."""

    text_id: str
    file: str
    ngram: str

    def __str__(self) -> str:
        return f"{self.text_id} shares {self.ngram!r} with {self.file}"


def overlaps(texts: Iterable[StoredText], files: Sequence[Path], size: int) -> Iterator[Overlap]:
    """Those of `texts` that share `size` words in a row with a text in `files`: one n-gram and its file of each.

    Raises SeedFileError for a file that cannot be read.
    """
    every = NgramIndex((text for file in files for text in texts_in(file)), size)

    @cache
    def of(file: Path) -> NgramIndex:  # which file it was is asked only when something is shared
        return NgramIndex(texts_in(file), size)

    for text in texts:
        if every.overlap(*text.parts) is None:
            continue
        for file in files:
            ngram = of(file).overlap(*text.parts)
            if ngram is not None:
                yield Overlap(text.text_id, file.name, ngram)
                break
