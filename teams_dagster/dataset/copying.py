"""A part of a stored dataset copied to where somebody wants it, with a card and metadata that describe the part."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from teams_dagster.core.files import file_sha256, replacing
from teams_dagster.dataset.card import DataCard
from teams_dagster.dataset.croissant import CROISSANT
from teams_dagster.dataset.export import FILES, README, describe_folder, examples_in, write_split
from teams_dagster.dataset.formats import Format, Thoughts
from teams_dagster.dataset.preferences import preference_file
from teams_dagster.dataset.provenance import LINEAGE, keep_splits
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.instructions.seed_splits import Split


class CopyRefused(ValueError):
    """A copy that cannot be made: the message says why, and what to do."""


@dataclass(frozen=True)
class StoredDataset:
    """A dataset in the store."""

    folder: Path
    """Holds its files in a folder of their own, and its lineage."""
    digests: Mapping[str, str]
    """SHA-256 (hex) of each file by its path in `folder`, as it was made."""
    card: DataCard


@dataclass(frozen=True)
class Part:
    """What of a dataset is wanted."""

    formats: tuple[Format, ...]
    splits: tuple[Split, ...]
    lineage: bool = False
    preferences: bool = False
    """Chosen and rejected answers, of the splits that have some."""
    thoughts: Thoughts = Thoughts.FIELD
    """Where thoughts stand, in a dataset that has some."""


def copy_dataset(dataset: StoredDataset, part: Part, target: Path, *, replace: bool = False) -> list[str]:
    """Copy `part` into the folder `target`, which appears whole; returns the names of the files in it.

    With `replace`, `target` may hold something: what an earlier export left there is exchanged file by file, anything
    else stays. Raises CopyRefused where it holds something and may not, and where a file of the dataset is not what
    it was when it was made.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise CopyRefused(f"{target} is a file: name a folder")
    occupied = target.is_dir() and any(target.iterdir())
    if occupied and not replace:
        raise CopyRefused(f"{target} is not empty: name another folder, or add --force to replace an export in it")
    with _draft_beside(target) as draft:
        for split in part.splits:
            _take(dataset, split, part, draft)
        if part.preferences:
            for name in _preference_files(dataset, part):
                _copy(dataset, name, draft)
        if part.lineage:
            _copy(dataset, LINEAGE, draft)
            if set(part.splits) != set(dataset.card.examples):
                keep_splits(draft / LINEAGE, part.splits)
        describe_folder(draft, dataset.card.of_splits(part.splits).with_thoughts(part.thoughts))
        names = sorted(path.name for path in draft.iterdir())
        if occupied:
            _exchange(draft, target, names)
        else:
            draft.replace(target)
    return names


def _preference_files(dataset: StoredDataset, part: Part) -> list[str]:
    """Those of the wanted splits. Raises CopyRefused where nothing else is wanted and there is none."""
    wanted = [f"{FILES}/{preference_file(split)}" for split in part.splits]
    found = [name for name in wanted if name in dataset.digests]
    if not found and not part.formats:
        raise CopyRefused(
            "no answer was chosen before a worse one: ask for several answers to each instruction (`expert_responses:"
            " {answers: 2}`) and have them scored (`pair_scores: {scored_by: judge}`)"
        )
    return found


@contextmanager
def _draft_beside(target: Path) -> Generator[Path]:
    """An empty folder that becomes `target`; it is gone when the block ends."""
    draft = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _take(dataset: StoredDataset, split: Split, part: Part, folder: Path) -> None:
    """One split in the formats of `part`: the stored files, or written anew where thoughts stand elsewhere."""
    if part.thoughts is Thoughts.FIELD or not dataset.card.reasoned:
        for form in part.formats:
            _copy(dataset, f"{FILES}/{form.file_name(split)}", folder)
        return
    with TemporaryDirectory(dir=folder) as scratch:
        name = Format.PARQUET.file_name(split)
        _copy(dataset, f"{FILES}/{name}", Path(scratch))
        write_split(
            folder,
            split,
            examples_in(Path(scratch) / name),
            reasoning=part.thoughts is not Thoughts.NONE,
            formats=part.formats,
            thoughts=part.thoughts,
        )


def _copy(dataset: StoredDataset, name: str, folder: Path) -> None:
    source = dataset.folder / name
    if not source.is_file():
        raise CopyRefused(f"{source} is gone: materialise instruction_dataset again")
    with replacing(folder / source.name) as copy:
        shutil.copyfile(source, copy)
        if file_sha256(copy) != dataset.digests.get(name):
            raise CopyRefused(
                f"{source} was changed after it was made: remove {dataset.folder} and materialise instruction_dataset"
                " again"
            )


def _exchange(draft: Path, target: Path, names: Collection[str]) -> None:
    """Move the files of `draft` over those of an earlier export in `target`."""
    ours = {form.file_name(split) for form in Format for split in SPLITS} | {LINEAGE, README, CROISSANT}
    ours |= {preference_file(split) for split in SPLITS}
    for name in names:
        os.replace(draft / name, target / name)
    for name in ours.difference(names):
        (target / name).unlink(missing_ok=True)
