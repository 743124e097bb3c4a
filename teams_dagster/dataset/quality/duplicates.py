"""Whether a dataset repeats itself, its earlier generations, or the texts that models are scored on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example, Sample
from teams_dagster.instructions.near_duplicates import duplicate_index, same_text_key
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


@dataclass
class GenerationShare:
    """What became of the kept samples of one generation."""

    kept: int = 0
    left_out: int = 0
    """Of these, not in the dataset."""
    repeats: int = 0
    """Of these, the same or nearly the same as an example of the dataset."""

    @property
    def repeated(self) -> float:
        """The share of the kept samples that repeat what the dataset holds."""
        return self.repeats / self.kept if self.kept else 0.0


@dataclass
class Repetition:
    """What a dataset repeats."""

    exact: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Pairs of sample ids with the same instruction but for case and white space."""
    near: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Pairs whose instructions are nearly the same."""
    generations: dict[str, GenerationShare] = field(default_factory=dict[str, GenerationShare])
    """By partition, in the order in which the samples came."""


class _Seen:
    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._near = duplicate_index()

    def same(self, instruction: Instruction) -> str | None:
        return self._exact.get(same_text_key(instruction))

    def near(self, instruction: Instruction) -> str | None:
        return next(iter(self._near.matches(instruction)), None)

    def add(self, key: str, instruction: Instruction) -> None:
        self._exact.setdefault(same_text_key(instruction), key)
        self._near.add(key, instruction)


def find_repetition(examples: Iterable[Example], samples: Iterable[Sample]) -> Repetition:
    """Compare every example of a dataset with all others, and the samples it left out with all of them.

    `samples` are those of every generation, in the order of generations. Signatures are computed from the texts, so
    that stored ones which are wrong show themselves.
    """
    found, seen = Repetition(), _Seen()
    in_dataset: set[str] = set()
    for example in examples:
        if (same := seen.same(example.instruction)) is not None:
            found.exact.append((example.sample_id, same))
        elif (near := seen.near(example.instruction)) is not None:
            found.near.append((example.sample_id, near))
        seen.add(example.sample_id, example.instruction)
        in_dataset.add(example.sample_id)
    for sample in samples:
        if sample.accepted:
            share = found.generations.setdefault(sample.partition_key, GenerationShare())
            share.kept += 1
            if sample.sample_id not in in_dataset:
                share.left_out += 1
                share.repeats += bool(seen.same(sample.instruction) or seen.near(sample.instruction))
    return found
