"""The rate at equal length on verdicts that were planted, and on those that AlpacaEval 2's published fits imply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from teams_dagster.evaluation.length_control import identifiable, length_controlled

PUBLISHED = {
    "gpt-4o-2024-05-13": (0.4816, 0.7971, 1.3859, 1873, 57.46),
    "gpt-4-turbo-2024-04-09": (0.3493, 0.7725, 1.4535, 1802, 55.02),
    "gpt4_1106_preview_concise": (-0.3182, 0.6836, 1.6425, 1136, 41.90),
    "claude-3-opus-20240229": (-0.3896, 0.8954, 1.8843, 1388, 40.51),
    "gpt4": (-0.5281, 0.9438, 1.6933, 1365, 38.13),
    "Qwen1.5-72B-Chat": (-0.6275, 1.0054, 1.5274, 1549, 36.57),
    "mistral-large-2402": (-0.8716, 0.9824, 1.9411, 1362, 32.65),
    "gpt4_0613": (-0.9832, 0.8150, 1.7084, 1140, 30.18),
    "Snorkel-Mistral-PairRM-DPO": (-1.1803, 0.7001, 0.8399, 2736, 26.39),
    "dbrx-instruct": (-1.4568, 1.1044, 1.3324, 1450, 25.38),
    "xwinlm-70b-v0.1": (-1.5159, 1.1319, 1.4800, 1775, 24.65),
    "Meta-Llama-3-8B-Instruct": (-1.6185, 1.0602, 1.5260, 1899, 22.92),
    "gpt-3.5-turbo-1106": (-1.9019, 1.0101, 2.0421, 796, 19.30),
    "deepseek-llm-67b-chat": (-2.0450, 1.0157, 1.8249, 1151, 17.84),
    "Mistral-7B-Instruct-v0.2": (-2.2398, 1.1457, 1.5200, 1676, 17.11),
    "Qwen1.5-7B-Chat": (-2.3084, 0.9571, 1.4334, 1594, 14.75),
}
"""Not among the models that the method was tried on: intercept, difficulty's and length's coefficient (log-odds), mean
length (characters) and length-controlled rate (percent); tatsu-lab/alpaca_eval (Apache-2.0).
"""
BASELINE_LENGTH, SPREAD = 2049, 850
"""Characters: the baseline's mean length, and about how much a model's differences from it vary."""


def rate(scores: np.ndarray, differences: np.ndarray) -> float:
    return float(length_controlled(scores, differences, np.ones((1, len(scores))))[0])


def test_it_is_close_to_alpaca_evals_rate_without_knowing_how_hard_an_instruction_is() -> None:
    random = np.random.default_rng(0)
    off = []
    for intercept, by_difficulty, by_length, length, published in PUBLISHED.values():
        differences = random.normal(length - BASELINE_LENGTH, SPREAD, 805)
        difficulty = random.normal(-0.26, 1.785, 805)
        leaning = np.tanh(differences / differences.std())
        odds = intercept + by_difficulty * difficulty + by_length * leaning
        scores = (random.random(805) < 1 / (1 + np.exp(-odds))).astype(float)
        off.append(100 * rate(scores, differences) - published)
    assert np.abs(off).mean() <= 2.5, dict(zip(PUBLISHED, off, strict=True))


@pytest.mark.parametrize(("differences", "seen"), [([1, 5], False), ([-3, -1], False), ([-1, 4], True), ([0, 9], True)])
def test_equal_length_must_lie_between_the_lengths_that_were_judged(differences: list[int], seen: bool) -> None:
    assert identifiable(differences) is seen
    if not seen:
        with pytest.raises(ValueError, match="not identifiable"):
            length_controlled([1, 0], differences, np.ones((1, 2)))


def test_where_all_are_of_equal_length_the_rate_is_the_plain_one() -> None:
    assert rate(np.array([1.0, 0.5, 0.25, 1.0]), np.zeros(4)) == 0.6875


def test_most_of_what_a_judge_of_length_alone_gives_the_longer_is_taken_back() -> None:
    random = np.random.default_rng(0)
    differences = random.normal(60, 100, 1_500)
    scores = (random.random(1_500) < 1 / (1 + np.exp(-differences / 60))).astype(float)
    assert scores.mean() > 0.65
    assert 0.5 < rate(scores, differences) < 0.5 + (scores.mean() - 0.5) / 2


def test_what_is_better_at_any_length_stays_better() -> None:
    random = np.random.default_rng(1)
    scores = (random.random(800) < 0.8).astype(float)
    assert rate(scores, random.normal(0, 150, 800)) == pytest.approx(0.8, abs=0.04)


def test_length_that_tells_every_win_from_every_loss_leaves_a_finite_rate() -> None:
    assert 0.05 < rate(np.array([1.0, 1, 1, 0]), np.array([500.0, 80, 20, -10])) < 0.95


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), st.integers(-(10**6), 10**6)), min_size=1, max_size=10
    ),
    st.integers(0, 100),
)
def test_the_regression_converges_whatever_it_is_given(given_pairs: list[tuple[float, int]], seed: int) -> None:
    scores, differences = zip(*given_pairs, strict=True)
    assume(identifiable(differences))
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(given_pairs)))
    weights[:, 0] += 1
    found = length_controlled(scores, differences, weights)
    assert ((found >= 0) & (found <= 1)).all()
