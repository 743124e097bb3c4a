"""Replaying the scores of a generation's pairs: each rating is read anew from the stored reply, each constraint checked
anew, and what comes out must be what was stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import groupby
from operator import itemgetter
from typing import Any

from teams_dagster.core.following import Following
from teams_dagster.core.protocol import Role, identity_of
from teams_dagster.dataset.pair_settings import JUDGE
from teams_dagster.dataset.quality.scores import UNANSWERED, Pair, PairScore
from teams_dagster.dataset.scoring import SCORES, pairs_of, rate_pairs, score_rows
from teams_dagster.instructions.prompts import Prompt, stored_prompts
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import NO_ANSWER, LedgerAsker
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import PairScoreFacts
from teams_dagster.store.integrity import Difference, Verification
from teams_dagster.store.parquet import iterate_rows, read_rows
from teams_dagster.store.tables import ROWS_AT_ONCE


async def replay_scores(ledger: Ledger, responses: Artefact, scores: Artefact, into: Verification) -> None:
    """Score every pair of a generation again, and compare each row with the stored one.

    Args:
        ledger: Holds the judge's replies.
        responses: The artefact of the answers that were scored.
        scores: The artefact of their scores.
        into: Where rows that agree, differ or cannot be replayed are counted.
    """
    facts = scores.read_facts(PairScoreFacts)
    stored = iterate_rows(scores.path(f"{SCORES}.parquet"), ROWS_AT_ONCE)
    with stored_prompts(_prompts(scores) if facts.scored_by == JUDGE else {}):
        if facts.scored_by == JUDGE:
            client = LedgerAsker(ledger, [(Role.JUDGE.value, identity_of(facts.judge))])
            replayed = rate_pairs(client, pairs_of(responses), width=100)
        else:
            replayed = _by_programs(pairs_of(responses))
        async with aclosing(replayed) as scored:
            await _compare(stored, scored, into)


async def _by_programs(pairs: Iterable[Pair]) -> AsyncGenerator[PairScore]:
    for pair in pairs:
        yield PairScore(pair, None)


async def _compare(stored: Iterable[dict[str, Any]], replayed: AsyncGenerator[PairScore], into: Verification) -> None:
    """Both have the scores of a sample together, and the samples in the same order."""
    by_sample = groupby(stored, key=itemgetter("sample_id"))
    waiting = Following((name, list(rows)) for name, rows in by_sample)
    async for scores in _of_samples(replayed):
        name = scores[0].pair.sample_id
        _compare_sample(
            name,
            waiting.take(name) or [],
            {score.pair.answer: row for score, row in zip(scores, score_rows(scores), strict=True)},
            into,
        )
    for name, rows in waiting.rest():
        _compare_sample(name, rows, {}, into)


async def _of_samples(scores: AsyncGenerator[PairScore]) -> AsyncGenerator[list[PairScore]]:
    own = list[PairScore]()
    async for score in scores:
        if own and own[0].pair.sample_id != score.pair.sample_id:
            yield own
            own = []
        own.append(score)
    if own:
        yield own


def _compare_sample(
    sample_id: str, stored: Iterable[dict[str, Any]], anew: dict[int, dict[str, object]], into: Verification
) -> None:
    for row in stored:
        name = f"{sample_id}, answer {row['answer']}"
        again = anew.pop(row["answer"], None)
        if again is None:
            into.differ(Difference(SCORES, name, "sample_id", sample_id, None))
        elif row["rating"] == UNANSWERED:
            into.skip(NO_ANSWER)
        else:
            into.compare(SCORES, name, row, again)
    for answer in anew:
        into.differ(Difference(SCORES, f"{sample_id}, answer {answer}", "sample_id", None, sample_id))


def _prompts(scores: Artefact) -> dict[str, Prompt]:
    rows = read_rows(scores.path("prompt_templates.parquet"))
    return {row["name"]: Prompt(row["name"], row["prompt_version"], row["text"]) for row in rows}
