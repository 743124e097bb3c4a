"""The labelled pairs: typed, balanced, apart from each other and from the seeds, and never changed unnoticed."""

import json
from collections import Counter
from pathlib import Path

import pytest

from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.evaluation.judging import Preference
from teams_dagster.instructions.review import Verdict
from teams_dagster.preflight.labelled_pairs import (
    JudgePair,
    PairsError,
    ReviewPair,
    Split,
    judge_pairs,
    pairs_version,
    rating_pairs,
    read_pairs,
    review_pairs,
)

PAIR = {
    "id": "one",
    "kind": "typo",
    "split": "test",
    "instruction": "Name a fruit.",
    "input": "",
    "new_instruction": "Name a friut.",
    "new_input": "",
    "label": "equal",
    "reason": "Spelling.",
}


def file_of(folder: Path, *pairs: dict[str, str]) -> Path:
    """A file of `pairs`."""
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def test_each_role_has_at_least_120_pairs():
    assert min(len(review_pairs()), len(judge_pairs())) >= 120


@pytest.mark.parametrize("split", Split)
def test_half_of_the_reviewers_pairs_are_equal_in_each_split(split: Split):
    labels = Counter(pair.label for pair in review_pairs() if pair.split is split)

    assert labels[Verdict.EQUAL] == labels[Verdict.NOT_EQUAL]


def test_each_operation_done_well_is_among_the_reviewers_pairs():
    kinds = {pair.kind for pair in review_pairs() if pair.label is Verdict.NOT_EQUAL}

    assert {operation.value for operation in TEXT_OPERATIONS} <= kinds


@pytest.mark.parametrize("kind", sorted({pair.kind for pair in judge_pairs()} - {"long_short_tie"}))
def test_the_better_answer_stands_first_as_often_as_second(kind: str):
    labels = Counter(pair.label for pair in judge_pairs() if pair.kind == kind)

    assert labels[Preference.FIRST] == labels[Preference.SECOND]


def test_the_longer_of_two_answers_of_equal_merit_stands_first_as_often_as_second():
    ties = [pair for pair in judge_pairs() if pair.label is Preference.TIE]

    assert sum(len(pair.first) > len(pair.second) for pair in ties) * 2 == len(ties)


@pytest.mark.parametrize("pairs", [review_pairs(), judge_pairs()], ids=["review", "judge"])
def test_no_instruction_stands_on_both_sides_of_the_split(pairs: tuple[ReviewPair | JudgePair, ...]):
    sides = [{(p.instruction, p.input) for p in pairs if p.split is split} for split in Split]

    assert not sides[0] & sides[1]


def test_the_pairs_are_those_that_were_committed():
    """They are not changed to move a result: whoever adds pairs says so here."""
    versions = [pairs_version(pairs()) for pairs in (review_pairs, judge_pairs, rating_pairs)]

    assert versions == [
        "ff4db648ebeca9c49968b6b1dc8b38db",
        "714f65be1436edb89a1e932e77f27263",
        "400ce840bb94db08ba5b65a877e819a7",
    ]


def test_half_of_the_rated_pairs_are_good():
    assert Counter(pair.good for pair in rating_pairs()) == {True: 60, False: 60}


def test_a_pair_gives_the_two_texts_under_review_with_their_inputs(tmp_path: Path):
    (pair,) = read_pairs(file_of(tmp_path, PAIR | {"input": "a", "new_input": "b"}), ReviewPair)

    assert (pair.before.text, pair.before.input, pair.after.text, pair.after.input) == (
        "Name a fruit.",
        "a",
        "Name a friut.",
        "b",
    )


def test_a_line_that_is_no_pair_is_named(tmp_path: Path):
    path = file_of(tmp_path, PAIR, PAIR | {"id": "two", "label": "unclear"})

    with pytest.raises(PairsError, match=r"pairs\.jsonl, line 2: .*\n?label"):
        read_pairs(path, ReviewPair)


def test_an_id_that_two_pairs_have_is_named(tmp_path: Path):
    with pytest.raises(PairsError, match="the id one"):
        read_pairs(file_of(tmp_path, PAIR, PAIR), ReviewPair)
