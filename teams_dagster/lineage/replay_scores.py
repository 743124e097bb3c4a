"""Replaying the scores of a generation's pairs: each rating is read anew from the stored reply, each constraint checked
anew, and what comes out must be what was stored."""

from __future__ import annotations

from typing import Any

from teams_dagster.core.protocol import Role, identity_of
from teams_dagster.dataset.pair_settings import JUDGE
from teams_dagster.dataset.quality.scores import UNANSWERED, PairScore
from teams_dagster.dataset.scoring import SCORES, pairs_of, rate_pairs, score_rows
from teams_dagster.instructions.prompts import Prompt, stored_prompts
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import LedgerAsker
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import PairScoreFacts
from teams_dagster.store.integrity import Difference, Verification
from teams_dagster.store.parquet import read_rows


async def replay_scores(ledger: Ledger, responses: Artefact, scores: Artefact, into: Verification) -> None:
    """Score every pair of a generation again, and compare each row with the stored one.

    Args:
        ledger: Holds the judge's replies.
        responses: The artefact of the answers that were scored.
        scores: The artefact of their scores.
        into: Where rows that agree, differ or cannot be replayed are counted.
    """
    facts = scores.read_facts(PairScoreFacts)
    stored = read_rows(scores.path(f"{SCORES}.parquet"))
    with stored_prompts(_prompts(scores) if facts.scored_by == JUDGE else {}):
        if facts.scored_by == JUDGE:
            client = LedgerAsker(ledger, [(Role.JUDGE.value, identity_of(facts.judge))])
            replayed = [score async for score in rate_pairs(client, pairs_of(responses), width=100)]
        else:
            replayed = [PairScore(pair, None) for pair in pairs_of(responses)]
    _compare(stored, replayed, into)


def _compare(stored: list[dict[str, Any]], replayed: list[PairScore], into: Verification) -> None:
    by_sample: dict[str, list[PairScore]] = {}
    for score in replayed:
        by_sample.setdefault(score.pair.sample_id, []).append(score)
    anew = {(row["sample_id"], row["answer"]): row for scores in by_sample.values() for row in score_rows(scores)}
    for row in stored:
        name = f"{row['sample_id']}, answer {row['answer']}"
        again = anew.pop((row["sample_id"], row["answer"]), None)
        if again is None:
            into.differ(Difference(SCORES, name, "sample_id", row["sample_id"], None))
        elif row["rating"] == UNANSWERED:
            into.skip("its query got no answer at the time")
        else:
            into.compare(SCORES, name, row, again)
    for sample_id, answer in anew:
        into.differ(Difference(SCORES, f"{sample_id}, answer {answer}", "sample_id", None, sample_id))


def _prompts(scores: Artefact) -> dict[str, Prompt]:
    rows = read_rows(scores.path("prompt_templates.parquet"))
    return {row["name"]: Prompt(row["name"], row["prompt_version"], row["text"]) for row in rows}
