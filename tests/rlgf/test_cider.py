"""CIDEr-D against values computed by hand: two references, so that what both have weighs nothing."""

import math

import pytest

from teams_dagster.rlgf.cider import Cider

DOG, CAT = "A dog runs.", "A cat runs."
KNOWN = Cider((DOG, CAT))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (DOG, 10 * 3 / 4),  # no run of four words is there to agree on
        ("a dog sleeps", 10 * (1 / math.sqrt(2) + 1 / 2) / 4),
        ("dog dog dog", 10 * (1 / 3) / 4),  # the reference has it once
        ("dog", 10 * math.exp(-(2**2) / (2 * 6**2)) / 4),  # two words short
        ("a cow runs", 0.0),
        ("", 0.0),
    ],
)
def test_a_text_scores_what_was_computed_by_hand(text, score):
    assert KNOWN.score(text, DOG) == pytest.approx(score)


def test_where_one_reference_alone_is_known_nothing_is_rare():
    assert Cider((DOG,)).score(DOG, DOG) == 0
