"""What scores do to a dataset: the best of several answers is taken, and pairs whose score is too low are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.protocol import LLMClient, identity_of
from teams_dagster.dataset.pair_settings import NOBODY, PairSettings
from teams_dagster.dataset.quality.scores import UNANSWERED, PairScore, fault_of
from teams_dagster.dataset.sample import GivenAnswer, Sample
from teams_dagster.dataset.scoring import (
    SCORES,
    answers_of,
    pairs_in,
    rate_pairs,
    ratings_asked,
    score_rows,
    scores_input,
)
from teams_dagster.dataset.stored import has_several, read_samples
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts


class ScoresMissing(ValueError):
    """Scores that a dataset needs are not there, or are those of other answers; the message says what to do."""


class JudgeCannotGate(ValueError):
    """Scores of a judge that failed its preflight may not drop a pair; the message says why it failed."""


@dataclass(frozen=True)
class Gate:
    """The scores that a dataset is made with."""

    least: float = 0.0
    """Pairs of a lower score are dropped; 0 drops none."""
    scores: Mapping[str, Artefact] | None = None
    """By generation, its scores; only where they are used."""

    @property
    def inputs(self) -> dict[str, str]:
        """By name, the version of each."""
        return {scores_input(week): scores.data_version for week, scores in (self.scores or {}).items()}

    @property
    def ratings(self) -> int:
        """Queries to the judge, paid or reused."""
        return sum(map(ratings_asked, (self.scores or {}).values()))

    @property
    def told(self) -> str | None:
        """Who scored, what was dropped and what could not be scored, in words; None where no score is used."""
        facts = [scores.read_facts(PairScoreFacts) for scores in (self.scores or {}).values()]
        if not facts:
            return None
        judges = {str(identity_of(fact.judge)) for fact in facts if fact.judge}
        by = " and ".join([*(f"the judge {judge}" for judge in sorted(judges)), "programs that check constraints"])
        dropped = f"pairs below {self.least:g} were left out" if self.least else "none was left out for its score"
        return (
            f"{sum(fact.pairs for fact in facts):,} pairs were scored by {by}: {dropped}; of"
            f" {sum(fact.without_score for fact in facts):,} nobody could tell, and they were not left out for that."
        )


def gate_for(store: ArtefactStore, answered: Sequence[Artefact], least: float) -> Gate:
    """The scores of `answered` generations that are needed: all for a threshold, else those of several answers.

    Raises ScoresMissing, JudgeCannotGate.
    """
    found: dict[str, Artefact] = {}
    for responses in answered:
        week = responses.manifest["partition_key"]
        if least or has_several(responses):
            why = f"min_score is {least:g}" if least else f"generation {week} has several answers to each instruction"
            found[week] = _scores_of(store, responses, why)
    for week, scores in found.items():
        refuse_faulty_judge(
            least,
            scores.read_facts(PairScoreFacts).gate_faults,
            f"the judge that scored generation {week}",
            " and materialise pair_scores again with `force: true`",
        )
    return Gate(least, found or None)


def refuse_faulty_judge(least: float, faults: Sequence[str], judge: str, then: str = "") -> None:
    """Raises JudgeCannotGate where a threshold is set and the `judge` has `faults`; `then` is done with another one."""
    if least and faults:
        raise JudgeCannotGate(
            f"min_score is {least:g}, and {judge} failed its preflight, so that it may not drop a pair:"
            f" {'; '.join(faults)}. Configure another judge (TEAMS_JUDGE_MODEL){then}, or leave min_score out"
        )


def _scores_of(store: ArtefactStore, responses: Artefact, why: str) -> Artefact:
    week = responses.manifest["partition_key"]
    scores = store.current(SCORES, week) if store.exists(SCORES, week) else None
    facts = scores.read_facts(PairScoreFacts) if scores else None
    if scores is None or facts is None or facts.scored_by == NOBODY:
        raise ScoresMissing(
            f"{why}, and the pairs of generation {week} have no scores: materialise pair_scores for it with `scored_by:"
            " judge` (or `programs`, which asks nobody)"
        )
    if facts.responses_version != responses.data_version:
        raise ScoresMissing(
            f"{why}, and the scores of generation {week} are those of other answers: materialise pair_scores for it"
            " again"
        )
    return scores


def gated_samples(responses: Artefact, gate: Gate) -> Iterator[Sample]:
    """The samples of a generation with the answer that the scores chose; one whose score is too low is refused."""
    scores = (gate.scores or {}).get(responses.manifest["partition_key"])
    if scores is None:
        yield from read_samples(responses)
        return
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(scores.path(f"{SCORES}.parquet")).to_pylist():
        rows.setdefault(row["sample_id"], []).append(row)
    given = dict(answers_of(responses))
    for sample in read_samples(responses):
        yield _gated(sample, rows.get(sample.sample_id, []), given.get(sample.sample_id, []), gate.least)


UNRATED = "unrated"
"""Why a sample does not count yet: the query for its rating failed, and is asked again with pair_scores."""


async def gate_as_played(
    client: LLMClient, samples: Sequence[Sample], settings: PairSettings, *, width: int
) -> list[Sample]:
    """The samples of an episode as the dataset will have them: with the best answer, or refused for its score.

    A sample of which a rating failed is refused, so that what counts can only become more. Raises BudgetExhausted.
    """
    if not settings.decides:
        return list(samples)
    pairs = [pair for sample in samples for pair in pairs_in(sample, sample.answers)]
    if settings.asks_judge:
        scored = [score async for score in rate_pairs(client, pairs, width=width)]
    else:
        scored = [PairScore(pair, None) for pair in pairs]
    rows = {
        sample_id: score_rows(list(scores))
        for sample_id, scores in groupby(scored, key=lambda score: score.pair.sample_id)
    }
    return [
        _refused(sample)
        if any(row["rating"] == UNANSWERED for row in rows.get(sample.sample_id, ()))
        else _gated(sample, rows.get(sample.sample_id, []), sample.answers, settings.min_score)
        for sample in samples
    ]


def _refused(sample: Sample) -> Sample:
    return replace(sample, accepted=False, reason=UNRATED)


def _gated(sample: Sample, scores: Sequence[Mapping[str, Any]], given: Sequence[GivenAnswer], least: float) -> Sample:
    chosen = next((row for row in scores if row["chosen"]), None)
    if not sample.accepted or chosen is None:
        return sample
    if given:
        place: int = chosen["answer"]
        own = given[place]
        sample = replace(
            sample, response=own.response, respond_request_id=own.respond_request_id, reasoning=own.reasoning
        )
        worse = _worst(scores, chosen)
        if worse is not None and given[worse].response != own.response:
            sample = replace(sample, rejected=given[worse].response)
    fault = fault_of(chosen["score"], chosen["rating"], chosen["broken"], least)
    return sample if fault is None else replace(sample, accepted=False, reason=fault.value)


def _worst(scores: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> int | None:
    """Which answer has the lowest score, the first of equals; None where none has a lower one than the chosen."""
    if chosen["score"] is None:
        return None
    lower = [row for row in scores if row["score"] is not None and row["score"] < chosen["score"]]
    return min(lower, key=lambda row: (row["score"], row["answer"]))["answer"] if lower else None


def chosen_samples(responses: Artefact, gate: Gate, folder: Path) -> Path:
    """Table `samples` with the attempts whose answers the scores chose: the stored one, or a file in `folder`."""
    stored = responses.path("samples.parquet")
    week = responses.manifest["partition_key"]
    scores = (gate.scores or {}).get(week)
    if scores is None or not has_several(responses):
        return stored
    rows = pq.read_table(scores.path(f"{SCORES}.parquet"), columns=["sample_id", "respond_request_id", "chosen"])
    asked = {row["sample_id"]: row["respond_request_id"] for row in rows.to_pylist() if row["chosen"]}
    table = pq.read_table(stored)
    names = table["sample_id"].to_pylist()
    own = table["respond_request_id"].to_pylist()
    chosen = pa.array([asked.get(name, before) for name, before in zip(names, own, strict=True)], pa.string())
    path = folder / f"samples-{week}.parquet"
    pq.write_table(
        table.set_column(table.schema.get_field_index("respond_request_id"), "respond_request_id", chosen), path
    )
    return path
