"""Writing episodes down: tables `transitions` and `instructions`, a batch of episodes at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from teams_dagster.core.hashing import content_hash, content_hash_of_many
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.environment.state import Episode, EpisodePurpose, sample_id_of
from teams_dagster.store.parquet import iterate_rows
from teams_dagster.store.tables import TableWriter, merge_tables

AT_ONCE = 1_000
"""Rows read at a time."""


_NOT_CONTENT = {
    *("run_id", "rewrite_request_id", "review_request_id", "turned_review_request_id", "respond_request_id"),
    *("verdict_probability", "orders_agree", "order_difference", "judge_request_id"),
    ROW_HASH,
}
"""Columns that tell how a row came about, not what it says: another run gives the same content another id, and what led
to a verdict and a reward is in these."""
_GAINED = {"reasoning"}
"""Columns that tables written before them do not have: without a value they say nothing."""


PARTS = "parts"


MERGED = "parts-merged"


_TABLES = ("transitions", "instructions")


class EpisodeTables:
    """The two tables of one folder, open for writing. Memory holds the ids of instructions, not their texts."""

    def __init__(self, folder: Path, run_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._run_id = folder, run_id
        self._known: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._transitions, self._instructions = (
            self._stack.enter_context(TableWriter(self._folder, table)) for table in _TABLES
        )
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def record(self, episodes: Sequence[Episode]) -> None:
        """Write every transition of `episodes`, and each instruction once."""
        self._transitions.write(self._transition_rows(episodes))
        self._instructions.write(self._instruction_rows(episodes))

    def _transition_rows(self, episodes: Sequence[Episode]) -> Iterator[dict[str, Any]]:
        for episode in episodes:
            for transition in episode.recorded:
                answered = transition.accepted and episode.key.purpose is EpisodePurpose.GENERATE
                sample_id = sample_id_of(transition.transition_id) if answered else None
                yield {**transition.row(), "sample_id": sample_id, "run_id": self._run_id}

    def _instruction_rows(self, episodes: Sequence[Episode]) -> Iterator[dict[str, Any]]:
        for instruction in _instructions_of(episodes):
            if instruction.instruction_id not in self._known:
                self._known.add(instruction.instruction_id)
                yield instruction_row(instruction)


def instruction_row(instruction: Instruction) -> dict[str, str]:
    """A row of table `instructions`."""
    return {"instruction_id": instruction.instruction_id, "text": instruction.text, "input": instruction.input}


def _instructions_of(episodes: Iterable[Episode]) -> Iterator[Instruction]:
    for episode in episodes:
        for transition in episode.recorded:
            yield transition.before
            if transition.after is not None:
                yield transition.after


def recording(folder: Path, run_id: str, name: str = "trained") -> Callable[[int, Sequence[Episode]], None]:
    """What writes each iteration of the training `name` to a part of its own."""

    def record(iteration: int, episodes: Sequence[Episode]) -> None:
        with EpisodeTables(part_folder(folder, _part(name, iteration)), run_id) as tables:
            tables.record(episodes)

    return record


def training_parts(iterations: int, name: str = "trained") -> list[str]:
    """The parts that a training of so many iterations wrote."""
    return [_part(name, number) for number in range(iterations)]


def _part(name: str, iteration: int) -> str:
    return f"{name}-{iteration:06d}"


def part_folder(folder: Path, name: str) -> Path:
    """Where an interruptible run keeps the tables of its part `name` until it is finished."""
    return folder / PARTS / name


def merge_parts(folder: Path, names: Sequence[str]) -> None:
    """Turn the parts of a finished run into its two tables, in their order. Safe under a kill anywhere.

    Raises RuntimeError when a part is missing.
    """
    begun, merged = folder / PARTS, folder / MERGED
    if begun.exists():
        parts = [part_folder(folder, name) for name in names]
        if missing := [part.name for part in parts if not is_whole(part)]:
            raise RuntimeError(f"{begun} lacks {', '.join(missing)}: remove {folder} and run the same step again")
        for table, key in zip(_TABLES, ("transition_id", "instruction_id"), strict=True):
            merge_tables(folder, table, parts, key)
        shutil.rmtree(merged, ignore_errors=True)
        begun.rename(merged)
    shutil.rmtree(merged, ignore_errors=True)


def is_whole(part: Path) -> bool:
    """Whether a part was written to its end: its tables appear when they are whole."""
    return all((part / f"{table}.parquet").exists() for table in _TABLES)


def content_of(path: Path) -> str:
    """Hash of a table's rows in their order. A column that tables gained counts where it has a value."""
    return content_hash_of_many("rows", (content_hash(_content(row)) for row in iterate_rows(path, AT_ONCE)))


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if name not in _NOT_CONTENT and not (name in _GAINED and value is None)
    }
