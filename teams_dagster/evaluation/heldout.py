"""Held-out loss: what a model pays, per response token, for the answers of seeds it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from teams_dagster.evaluation.statistics import Estimate, clustered_ratio

if TYPE_CHECKING:
    from teams_dagster.student.scoring import ResponseScore


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
