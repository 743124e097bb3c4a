"""Held-out loss: what a model pays, per response token, for the answers of seeds it never saw.

Beside it a model that knows nothing but how often each token occurs in training responses (unigram).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.evaluation.statistics import Estimate, clustered_ratio
from teams_dagster.student.scoring import ResponseScore


@dataclass(frozen=True)
class Unigram:
    """A model that neither reads the instruction nor the tokens before."""

    log_probabilities: np.ndarray
    """Of each token of the vocabulary, in nats; shape (vocabulary,)."""

    def score(self, response: Sequence[int]) -> ResponseScore:
        """How probable it finds the tokens of a response, end of sequence included."""
        return ResponseScore(float(self.log_probabilities[np.asarray(response, dtype=int)].sum()), len(response))


def fit_unigram(responses: Iterable[Sequence[int]], vocabulary: int) -> Unigram:
    """Frequencies in `responses` (token ids), each token counted once more, so that none is impossible."""
    counts = np.ones(vocabulary)
    for response in responses:
        np.add.at(counts, np.asarray(response, dtype=int), 1)
    return Unigram(np.log(counts / counts.sum()))


def loss_per_token(scores: Sequence[ResponseScore], seeds: Sequence[str]) -> Estimate:
    """Nats per response token (end of sequence included) over all examples, clustered by seed.

    `scores` and `seeds` run over the same examples.
    """
    return clustered_ratio([-s.log_probability for s in scores], [s.tokens for s in scores], seeds)


def loss_difference(
    scores: Sequence[ResponseScore], reference: Sequence[ResponseScore], seeds: Sequence[str]
) -> Estimate:
    """Loss per token of `scores` minus that of `reference`, paired example by example; negative is better."""
    paired = [r.log_probability - s.log_probability for s, r in zip(scores, reference, strict=True)]
    return clustered_ratio(paired, [s.tokens for s in scores], seeds)
