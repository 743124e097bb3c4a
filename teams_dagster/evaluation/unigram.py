"""The unigram model: what is known of a response by how often each token occurs in training responses, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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
