"""Dollars per kept pair: what the queries behind generations cost, by operation and step, over the pairs they brought.

A pair is an instruction with the expert's answer to it, kept when no rule refused the answer; several answers to one
instruction make one pair. Each distinct answer (rewrite, review, response) counts once, at what it cost when it was
bought, whoever bought it, and where it was used first. The cost of an edit that was refused stays with its operation
and step, so the sums are whole: a pair at step 3 does not carry the edits before it, which brought pairs of their own.
Failed attempts are on the ledger and not here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.dataset.stored import answers_file
from teams_dagster.ledger.costs import costs_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.transition_row import ANSWERS

PAIR_COLUMNS = ("partition_key", "operation", "step")
"""What the costs of pairs are told apart by. Steps are counted from 0, as in table `transitions`."""

ROWS_AT_ONCE = 10_000

_OF_TRANSITIONS = ("partition_key", "operation", "step", "accepted", *ANSWERS)

_PLACE = "transitions.partition_key::varchar, transitions.operation::varchar, transitions.step::varchar"
_KEPT = f"""
select {_PLACE}, count(*) filter (samples.accepted)
from samples join transitions using (transition_id) group by all"""
_ANSWERED = f"""
select {_PLACE}, answers.respond_request_id
from answers join samples using (sample_id) join transitions on transitions.transition_id = samples.transition_id
order by answers.file_row_number"""


@dataclass(frozen=True)
class PairCost:
    """What the pairs of one group cost."""

    group: Mapping[str, str] = field(default_factory=dict[str, str])
    """The value of each column that it is of; empty for all pairs."""
    edits: int = 0
    """Operations that were chosen, `none` among them."""
    accepted: int = 0
    """Edits that were accepted."""
    kept: int = 0
    """Pairs: accepted edits whose answer was kept."""
    nano_usd: int = 0
    """Of the answers whose price is known."""
    unpriced: int = 0
    """Answers whose price is not known."""

    @property
    def each(self) -> float | None:
        """Nano-dollars per kept pair; None where nothing was kept, or a price is not known."""
        return None if self.unpriced or not self.kept else self.nano_usd / self.kept

    @property
    def each_accepted(self) -> float | None:
        """Nano-dollars per accepted edit; None where none was, or a price is not known."""
        return None if self.unpriced or not self.accepted else self.nano_usd / self.accepted


_COUNTS = ("edits", "accepted", "kept", "nano_usd", "unpriced")


@dataclass(frozen=True)
class PairCosts:
    """The costs of pairs, told apart by everything in `PAIR_COLUMNS`."""

    rows: tuple[PairCost, ...] = ()

    def by(self, columns: Sequence[str] = (), where: Mapping[str, str | None] | None = None) -> list[PairCost]:
        """Grouped by `columns` (of `PAIR_COLUMNS`), ordered by them; `where` keeps rows with these values.

        Raises ValueError for another column.
        """
        if unknown := sorted({*columns, *(where or {})} - set(PAIR_COLUMNS)):
            raise ValueError(f"pairs are not told apart by {', '.join(unknown)}: choose from {', '.join(PAIR_COLUMNS)}")
        found: dict[tuple[str, ...], dict[str, int]] = {}
        for row in self.rows:
            if all(row.group[column] == value for column, value in (where or {}).items()):
                counts = found.setdefault(tuple(row.group[column] for column in columns), dict.fromkeys(_COUNTS, 0))
                for name in _COUNTS:
                    counts[name] += getattr(row, name)
        return [PairCost(dict(zip(columns, values, strict=True)), **counts) for values, counts in sorted(found.items())]

    @property
    def total(self) -> PairCost:
        """All of it."""
        return next(iter(self.by()), PairCost())


def pair_costs(ledger: Ledger, generated: Artefact, responses: Artefact | None = None) -> PairCosts:
    """What one generation cost, and the answers to it where it has some."""
    made = [(generated, responses)]
    return PairCosts(tuple(_Counter(ledger, made).count(generated, responses)))


def stored_pair_costs(store: ArtefactStore, ledger: Ledger) -> PairCosts:
    """What every generation of the trained policy's arm cost, with its answers where it has some."""
    made = list(_made(store))
    counter = _Counter(ledger, made)
    return PairCosts(tuple(row for generated, responses in made for row in counter.count(generated, responses)))


def _made(store: ArtefactStore) -> Iterator[tuple[Artefact, Artefact | None]]:
    """The instructions of every generation, with its answers where it has some."""
    arm = TRAINED_ARM
    for partition in store.partitions(arm.instructions):
        if store.exists(arm.responses, partition):
            responses = store.current(arm.responses, partition)
            yield generated_for(store, responses), responses
        else:
            yield store.current(arm.instructions, partition), None


class _Counter:
    """Adds generations up; an answer that two of them used is counted with the first.

    Memory holds those answers alone that are used more than once.
    """

    def __init__(self, ledger: Ledger, made: Iterable[tuple[Artefact, Artefact | None]]) -> None:
        self._ledger = ledger
        self._paid: set[str] = set()
        self._shared = _used_again(made)

    def count(self, generated: Artefact, responses: Artefact | None) -> list[PairCost]:
        counts: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
        for rows in _batches(generated.path("transitions.parquet"), _OF_TRANSITIONS):
            costs = self._costs(row[column] for row in rows for column in ANSWERS)
            for row in rows:
                place = (str(row["partition_key"]), str(row["operation"]), str(row["step"]))
                counts[place]["edits"] += 1
                counts[place]["accepted"] += row["accepted"]
                self._pay(counts[place], costs, (row[column] for column in ANSWERS))
        if responses:
            self._count_answers(generated, responses, counts)
        return [
            PairCost(dict(zip(PAIR_COLUMNS, place, strict=True)), **found) for place, found in sorted(counts.items())
        ]

    def _count_answers(
        self,
        generated: Artefact,
        responses: Artefact,
        counts: Mapping[tuple[str, ...], dict[str, int]],
    ) -> None:
        files = {
            "transitions": str(generated.path("transitions.parquet")),
            "samples": str(responses.path("samples.parquet")),
            "answers": str(answers_file(responses)),
        }
        with scratch() as connection:
            for table, file in files.items():
                connection.read_parquet(file, file_row_number=True).create_view(table)
            for *place, kept in connection.execute(_KEPT).fetchall():
                counts[tuple(place)]["kept"] += kept
            answers = connection.execute(_ANSWERED)
            while rows := answers.fetchmany(ROWS_AT_ONCE):
                costs = self._costs(request for *_, request in rows)
                for *place, request in rows:
                    self._pay(counts[tuple(place)], costs, [request])

    def _costs(self, request_ids: Iterable[str | None]) -> dict[str, int | None]:
        """What each of these answers cost that was not counted yet."""
        return costs_of(self._ledger, sorted({name for name in request_ids if name is not None} - self._paid))

    def _pay(self, counts: dict[str, int], costs: Mapping[str, int | None], request_ids: Iterable[str | None]) -> None:
        for name in request_ids:
            if name is not None and name in costs and name not in self._paid:
                if name in self._shared:
                    self._paid.add(name)
                counts["nano_usd"] += costs[name] or 0
                counts["unpriced"] += costs[name] is None


def _used_again(made: Iterable[tuple[Artefact, Artefact | None]]) -> set[str]:
    """The answers that more than one row of these generations names."""
    named = list[str]()
    for generated, responses in made:
        file = generated.path("transitions.parquet")
        there = set(pq.read_schema(file).names)
        named += [_names(file, column) for column in ANSWERS if column in there]
        named += [_names(answers_file(responses), "respond_request_id")] if responses else []
    if not named:
        return set()
    with scratch() as connection:
        found = connection.execute(
            f"select request from ({' union all '.join(named)}) where request is not null"
            " group by request having count(*) > 1"
        )
        return {request for (request,) in found.fetchall()}


def _names(file: Path, column: str) -> str:
    place = str(file).replace("'", "''")
    return f"select {column} as request from read_parquet('{place}')"


def _batches(path: Path, columns: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table, so many at a time; a column that an earlier version did not write is NULL."""
    file = pq.ParquetFile(path)
    there = [column for column in columns if column in file.schema_arrow.names]
    absent = dict.fromkeys(set(columns) - set(there))
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=there):
        yield [row | absent for row in batch.to_pylist()]
