"""From a distance to a probability and a verdict: a logistic regression on the labelled pairs kept for it (Platt)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from teams_dagster.core.hashing import content_hash
from teams_dagster.instructions.review import Verdict
from teams_dagster.preflight.labelled_pairs import ReviewPair, Split, pairs_version, review_pairs

METHOD = 1
"""Raised whenever the same pairs and weights would give another probability."""

_DISTANCE_UNIT = 0.1
"""Distances are counted in tenths, so that the regression's penalty weighs on both inputs alike."""


@dataclass(frozen=True)
class Measured:
    """What is known of an edit."""

    distance: float
    """1 less the cosine of the two embeddings."""
    fact_changed: bool
    """Whether a number, an operator, a negation or the material changed."""


@dataclass(frozen=True)
class Calibration:
    """The regression and its cut, for one sentence-embedding model."""

    bias: float
    distance_weight: float
    fact_weight: float
    threshold: float = 0.5
    """The probability from which a verdict is Not Equal."""

    def probability(self, edit: Measured) -> float:
        """The probability that an edit is Not Equal."""
        score = self.bias + self.distance_weight * edit.distance / _DISTANCE_UNIT + self.fact_weight * edit.fact_changed
        return 1.0 / (1.0 + math.exp(-score))


def calibration_pairs() -> tuple[ReviewPair, ...]:
    """The labelled pairs that calibrate; no other pair does."""
    return tuple(pair for pair in review_pairs() if pair.split is Split.CALIBRATE)


def calibration_version() -> str:
    """A hash of all that decides a calibration but the model: the pairs, and how they are used."""
    return content_hash("embedding calibration", METHOD, pairs_version(calibration_pairs()))


def calibrate(measured: Sequence[Measured], labels: Sequence[Verdict]) -> Calibration:
    """The regression (ridge penalty 1) of `labels` on what was measured of their edits, and its best cut.

    Deterministic. The cut has the highest balanced accuracy on the same edits: a probability of a half, where a few
    edits far from their kind pull the regression, need not.
    """
    from sklearn.linear_model import LogisticRegression

    rows = [[edit.distance / _DISTANCE_UNIT, float(edit.fact_changed)] for edit in measured]
    fitted = LogisticRegression().fit(rows, [label is Verdict.NOT_EQUAL for label in labels])
    regression = Calibration(float(fitted.intercept_[0]), *map(float, fitted.coef_[0]))
    return replace(regression, threshold=_best_cut([regression.probability(edit) for edit in measured], labels))


def _best_cut(probabilities: Sequence[float], labels: Sequence[Verdict]) -> float:
    """The middle of the widest gap between neighbours where cutting has the highest balanced accuracy."""
    of = {verdict: [p for p, one in zip(probabilities, labels, strict=True) if one is verdict] for verdict in _VERDICTS}

    def balanced(cut: float) -> float:
        right = [sum(p < cut for p in of[Verdict.EQUAL]), sum(p >= cut for p in of[Verdict.NOT_EQUAL])]
        return sum(count / len(of[verdict]) for verdict, count in zip(_VERDICTS, right, strict=True))

    gaps = [((low + high) / 2, high - low) for low, high in pairwise(sorted(probabilities))]
    return max(gaps, key=lambda gap: (balanced(gap[0]), gap[1]))[0]


_VERDICTS = (Verdict.EQUAL, Verdict.NOT_EQUAL)
