"""What a score finds of the planted pairs, and what it costs of the good ones."""

import asyncio

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import (
    Answer,
    Completion,
    ErrorKind,
    ModelIdentity,
    Outcome,
    QueryFailed,
    Request,
    Role,
)
from teams_dagster.dataset.quality.rating import Rating
from teams_dagster.dataset.quality.scores import UNANSWERED, Fault, Pair, PairScore, best_of, fault_of
from teams_dagster.dataset.scoring import rate_pairs, score_rows
from teams_dagster.preflight.labelled_pairs import rating_pairs

PLANTED = [pair.model_dump(mode="json") for pair in rating_pairs()]
LEAST = 0.5


def pair(row: dict[str, str], answer: int = 0) -> Pair:
    return Pair(row["id"], "t", "2026-11-02", answer, Instruction(row["instruction"], row["input"]), row["answer"], "r")


class Judge:
    """Says by script what each planted pair is."""

    def identity(self, role: Role) -> ModelIdentity:
        return ModelIdentity("scripted", "judge")

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        (label,) = [row["label"] for row in PLANTED if row["id"] == sample_id]
        if sample_id == "good-60":
            raise QueryFailed(ErrorKind.TIMEOUT, "no answer", attempts=1)
        said = Completion(label.replace("_", " "), "stop", Outcome.USABLE)
        return Answer(said, f"request of {sample_id}", "key", reused=False)


async def _rated() -> list[PairScore]:
    return [score async for score in rate_pairs(Judge(), map(pair, PLANTED), width=10)]


def faults(scores: list[PairScore]) -> dict[str, Fault | None]:
    return {s.pair.sample_id: fault_of(s.score, s.rating, len(s.broken), LEAST) for s in scores}


def test_true_verdicts_drop_every_planted_bad_pair_by_its_name_and_no_good_one():
    found = faults(asyncio.run(_rated()))
    bad = {row["id"]: row["label"] for row in PLANTED if row["label"] != "good"}
    assert (len(bad), len(found)) == (60, 120)
    assert {name: found[name] for name in bad} == bad
    assert [name for name in found.keys() - bad.keys() if found[name]] == []


def test_programs_alone_drop_every_ignored_constraint_that_code_can_tell_and_no_good_pair():
    found = faults([PairScore(pair(row), None) for row in PLANTED])
    assert all(found[row["id"]] is Fault.CONSTRAINT_IGNORED for row in PLANTED if row["code"])
    assert not any(found[row["id"]] for row in PLANTED if row["label"] == "good")


def test_a_query_that_failed_leaves_a_pair_without_a_score_and_in_the_dataset():
    (score,) = [score for score in asyncio.run(_rated()) if score.pair.sample_id == "good-60"]
    assert (score.rating, score.score) == (UNANSWERED, None)
    assert fault_of(score.score, score.rating, 0, 1.0) is None


@pytest.mark.parametrize(
    ("rating", "score", "fault"),
    [
        (Rating.GOOD, 1.0, None),
        (Rating.PARTLY, 0.5, Fault.PARTLY),
        (Rating.CONSTRAINT_IGNORED, 0.25, Fault.CONSTRAINT_IGNORED),
        (Rating.OFF_TOPIC, 0.0, Fault.OFF_TOPIC),
        (Rating.UNANSWERABLE, 0.0, Fault.UNANSWERABLE),
        (Rating.CANNOT_TELL, None, None),
        (Rating.UNCLEAR, None, None),
    ],
)
def test_a_rating_has_its_score_and_its_reason(rating: Rating, score: float | None, fault: Fault | None):
    plain = PairScore(pair({"id": "s", "instruction": "Name a fruit.", "input": "", "answer": "Apple"}), rating)
    assert plain.score == score
    assert fault_of(plain.score, rating, 0, 1.0) is fault


def test_a_broken_constraint_caps_what_the_judge_says():
    row = {
        "id": "s",
        "instruction": "Describe the sea in two sentences. Use no commas.",
        "input": "",
        "answer": "A, b. C.",
    }
    assert PairScore(pair(row), Rating.GOOD).score == 0.125


def test_of_answers_the_best_is_chosen_the_first_of_equals_and_one_without_a_score_before_a_bad_one():
    assert best_of([0.5, 1.0, 1.0]) == 1
    assert best_of([0.25, None, 0.0]) == 1
    assert best_of([None, 0.5]) == 1
    row = {"id": "s", "instruction": "Name a fruit.", "input": "", "answer": "Apple"}
    scores = [PairScore(pair(row, n), rating) for n, rating in enumerate((Rating.PARTLY, Rating.GOOD, Rating.GOOD))]
    assert [r["chosen"] for r in score_rows(scores)] == [False, True, False]
