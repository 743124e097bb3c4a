from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.evaluation.comparison import fit_unigram

VOCABULARY = 7
RESPONSES = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1), min_size=1)


@given(RESPONSES)
def test_its_probabilities_sum_to_one_and_none_is_zero(responses: list[list[int]]) -> None:
    probabilities = np.exp(fit_unigram(responses, VOCABULARY).log_probabilities)
    assert math.isclose(probabilities.sum(), 1)
    assert (probabilities > 0).all()


@given(RESPONSES)
def test_it_is_no_worse_on_what_it_was_fitted_on_than_a_guess(responses: list[list[int]]) -> None:
    unigram = fit_unigram(responses, VOCABULARY)
    scores = [unigram.score(response) for response in responses]
    loss = -sum(s.log_probability for s in scores) / sum(s.tokens for s in scores)
    assert loss <= math.log(VOCABULARY) + 1e-12


def test_a_token_counts_as_often_as_it_occurs_and_once_more() -> None:
    score = fit_unigram([[0, 0, 1]], 3).score([0, 2])
    assert score.tokens == 2
    assert math.isclose(score.log_probability, math.log(3 / 6) + math.log(1 / 6))
