"""Which actions made this sample: its chain from the seed, what was refused beside it, every query, what it went into.

Everything comes from the read model by look-ups of ids, so that one sample of a million is told in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from teams_dagster.lineage.records import Answer, Lineage, Origin, Query, Score, Step
from teams_dagster.store.transition_row import ANSWERS

LEAST_PREFIX = 6
"""Characters of an id that are enough to look for it."""


class NotFound(LookupError):
    """An id that nothing has, or several things have."""


@dataclass
class _Found:
    """What was looked up for a lineage."""

    texts: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    calls: dict[str, list[Query]] = field(default_factory=dict[str, list[Query]])
    """By the answering request."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Place:
    """Where a lineage ends: a transition, and the sample made from it, if one was."""

    transition_id: str
    sample_id: str | None
    episode_id: str


_PLACES = (
    "select transition_id, sample_id, episode_id from samples where starts_with(sample_id, ?) limit 3",
    "select transition_id, sample_id, episode_id from transitions where starts_with(sample_id, ?) limit 3",
    "select transition_id, sample_id, episode_id from transitions where starts_with(transition_id, ?) limit 3",
)
"""Samples of now, samples of the past, and transitions."""


def find(connection: duckdb.DuckDBPyConnection, given: str) -> Place:
    """What `given` names: the id of a sample or a transition, or the beginning of one. Raises NotFound."""
    if len(given) < LEAST_PREFIX:
        raise NotFound(
            f"{given!r} is too short: give {LEAST_PREFIX} characters of a sample's or transition's id or more"
        )
    for wanted in _PLACES:
        found = [Place(*row) for row in _all(connection, wanted, [given])]
        if len(found) > 1:
            raise NotFound(f"several ids begin with {given!r}: give more of it")
        if found:
            return found[0]
    raise NotFound(f"no sample and no transition has the id {given!r}: `from samples` in teams.duckdb lists them")


def trace(connection: duckdb.DuckDBPyConnection, given: str) -> Lineage:
    """The lineage of the sample or transition that `given` names. Raises NotFound."""
    place = find(connection, given)
    transition_id, sample_id = place.transition_id, place.sample_id
    rows = _rows(connection, "select * from transitions where episode_id = ? order by step", [place.episode_id])
    by_id = {row["transition_id"]: row for row in rows}
    chain = _chain(by_id, transition_id)
    sample = _one(connection, "select * from chosen_samples where sample_id = ?", [sample_id]) if sample_id else {}
    several = _rows(connection, "select * from sample_answers where sample_id = ? order by answer", [sample_id])
    found = _look_up(connection, rows, [sample, *several])
    last = by_id[transition_id]
    steps = {row["transition_id"]: _step(row, found) for row in rows}
    runs = {row["run_id"] for row in chain} | ({sample["run_id"]} if sample else set[str]())
    datasets = _datasets(connection, sample_id)
    own, others = _answers(sample, several, found)
    return Lineage(
        transition_id=transition_id,
        sample_id=sample_id,
        episode_id=last["episode_id"],
        purpose=last["purpose"],
        partition_key=last["partition_key"],
        seed=_one(connection, "select * from seeds where seed_id = ?", [last["seed_id"]]),
        chain=tuple(steps[row["transition_id"]] for row in chain),
        beside=tuple(steps[row["transition_id"]] for row in rows if row not in chain),
        answer=own,
        other_answers=others,
        policy=_one(connection, "select * from policies where policy_version = ?", [last["policy_version"]]),
        origins=_origins(connection, runs, last["partition_key"]),
        scores=_scores(connection, sample_id, found),
        datasets=datasets,
        adapters=_adapters(connection, [version for version, _ in datasets]),
    )


def _chain(by_id: Mapping[str, dict[str, Any]], transition_id: str) -> list[dict[str, Any]]:
    """From the edit of the seed to the transition. Raises NotFound where a link is missing or leads in a circle."""
    chain: list[dict[str, Any]] = []
    at: str | None = transition_id
    while at is not None:
        if at not in by_id or len(chain) == len(by_id):
            raise NotFound(f"the chain of {transition_id} is broken at {at}: run the check every_chain_is_complete")
        chain.append(by_id[at])
        at = by_id[at]["parent_transition_id"]
    return chain[::-1]


def _look_up(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]], answered: Sequence[dict[str, Any]]
) -> _Found:
    """The texts, queries and templates that the rows name; `answered` are those of a sample and of its answers."""
    texts = {row[name] for row in rows for name in ("parent_id", "instruction_id")} - {None}
    answers = {row[name] for row in rows for name in ANSWERS} | {row.get("respond_request_id") for row in answered}
    requests = sorted(str(answer) for answer in answers if answer)
    samples = [row["sample_id"] for row in answered if row]
    rated = _all(
        connection, "select judge_request_id from pair_scores where sample_id in (select unnest(?))", [samples]
    )
    requests += sorted(request for (request,) in rated if request)
    own = [row["transition_id"] for row in rows]
    calls = [
        *_rows(connection, "select * from llm_calls where request_id in (select unnest(?))", [requests]),
        *_rows(
            connection,
            "select * from llm_calls where status <> 'ok' and transition_id in (select unnest(?))",
            [own],
        ),
    ]
    found = _Found(
        texts={
            name: (text, given)
            for name, text, given in _all(
                connection, "from instructions where instruction_id in (select unnest(?))", [sorted(texts)], columns=3
            )
        },
        prompts=dict(_all(connection, "select prompt_version, name from prompt_templates", [])),
    )
    key_of = {call["request_id"]: call["request_key"] for call in calls}
    for request in requests:
        of_question = [call for call in calls if call["request_key"] == key_of.get(request)]
        in_order = sorted(of_question, key=lambda call: (call["started_at"], call["attempt"]))
        found.calls[request] = [_query(call, reused=call["transition_id"] not in own) for call in in_order]
    return found


def _query(call: Mapping[str, Any], *, reused: bool) -> Query:
    plain = {name: call[name] for name in Query.__dataclass_fields__ if name in call and name != "started_at"}
    return Query(**plain, reused=reused, started_at=str(call["started_at"]))


def _step(row: Mapping[str, Any], found: _Found) -> Step:
    missing = (None, None)
    before = found.texts.get(row["parent_id"], missing)
    after = found.texts.get(row["instruction_id"], missing)
    own = {"text_before", "input_before", "text_after", "input_after", "prompt", "queries", "chosen_by"}
    plain = {name: row[name] for name in Step.__dataclass_fields__ if name not in own}
    queries = [query for name in ANSWERS for query in found.calls.get(row[name] or "", [])]
    return Step(
        **plain,
        chosen_by=row["chosen_by"] or "policy",
        text_before=before[0] or "",
        input_before=before[1] or "",
        text_after=after[0],
        input_after=after[1],
        prompt=found.prompts.get(row["prompt_version"] or ""),
        queries=tuple(queries),
    )


def _answers(
    sample: Mapping[str, Any], given: Sequence[Mapping[str, Any]], found: _Found
) -> tuple[Answer | None, tuple[Answer, ...]]:
    """The sample's own answer, which of several was chosen, and the others."""
    if not sample:
        return None, ()
    own = next((row for row in given if row["respond_request_id"] == sample["respond_request_id"]), None)
    number = own["answer"] if own else 0
    return _answer(sample, number, found), tuple(_answer(row, row["answer"], found) for row in given if row is not own)


def _answer(row: Mapping[str, Any], number: int, found: _Found) -> Answer:
    queries = found.calls.get(row["respond_request_id"] or "", [])
    return Answer(row["response"], row["accepted"], row["reason"], tuple(queries), row["reasoning"], number)


def _scores(connection: duckdb.DuckDBPyConnection, sample_id: str | None, found: _Found) -> tuple[Score, ...]:
    rows = _rows(
        connection,
        "select pair_scores.*, answers.text as reply, given.response from pair_scores left join (select distinct"
        " request_id, request_key from llm_calls) as call on call.request_id = judge_request_id left join answers using"
        " (request_key) left join sample_answers as given on given.sample_id = pair_scores.sample_id and given.answer ="
        " pair_scores.answer where pair_scores.sample_id = ? order by pair_scores.answer",
        [sample_id],
    )
    names = [name for name in Score.__dataclass_fields__ if name != "queries"]
    return tuple(
        Score(**{name: row[name] for name in names}, queries=tuple(found.calls.get(row["judge_request_id"] or "", [])))
        for row in rows
    )


def _origins(connection: duckdb.DuckDBPyConnection, runs: set[str], partition: str | None) -> tuple[Origin, ...]:
    columns = ", ".join(Origin.__dataclass_fields__)
    rows = _rows(
        connection,
        f"select {columns} from artefacts where run_id in (select unnest(?)) and (partition_key = ? or (? is null and"
        " asset_key in ('trained_policy', 'policy_comparison'))) order by position",
        [sorted(run for run in runs if run), partition, partition],
    )
    return tuple(Origin(**row) for row in rows)


def _datasets(connection: duckdb.DuckDBPyConnection, sample_id: str | None) -> tuple[tuple[str, str], ...]:
    wanted = "select dataset_version, split from dataset_samples where sample_id = ?"
    return tuple((version, split) for version, split in _all(connection, wanted, [sample_id]))


def _adapters(connection: duckdb.DuckDBPyConnection, datasets: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
    wanted = (
        "select kind, model_version, dataset_version from models where dataset_version in (select unnest(?))"
        " order by dataset_version, kind"
    )
    return tuple((kind, model, dataset) for kind, model, dataset in _all(connection, wanted, [list(datasets)]))


def _all(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any], columns: int | None = None
) -> list[tuple[Any, ...]]:
    return [row[:columns] for row in connection.execute(statement, values).fetchall()]


def _rows(connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    found = connection.execute(statement, values)
    names = [name for name, *_ in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _one(connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any]) -> dict[str, Any]:
    """The first row; empty where there is none."""
    rows = _rows(connection, statement, values)
    return rows[0] if rows else {}
