"""Membership inference by loss: can one tell training examples from held-out ones by how easy a model finds them?

The attack of Yeom et al. 2018 (arXiv 1709.01604): the lower the loss per token, the likelier a member. An area under
the ROC curve (AUC) of 0.5 means nothing leaks. The base saw neither side, so its own AUC shows how much the two sides
differ by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.statistics import percentile_interval, resampled_clusters
from teams_dagster.streams import generator

if TYPE_CHECKING:
    from teams_dagster.student.scoring import ResponseScore

WIDEST_HALF_WIDTH = 0.05
ROC_POINTS = 101


@dataclass(frozen=True)
class RocPoint:
    """A threshold's rates."""

    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class MembershipScore:
    """How well a model's losses give its training examples away."""

    model: str
    auc: float
    stderr: float
    ci_low: float
    ci_high: float
    auc_minus_base: float
    """Paired with the base's own AUC; 0 for the base."""
    minus_base_low: float
    minus_base_high: float
    too_small_to_tell: bool
    """The 95% interval of the AUC is wider than +-0.05."""
    members: int
    non_members: int
    seeds: int
    roc: tuple[RocPoint, ...]


def membership_samples(train: Sequence[Example], held_out: Sequence[Example], *, seed: int) -> list[list[Example]]:
    """Members and non-members in equal number, each side drawn by a keyed stream, in order of sample id.

    Raises ValueError when a side is empty.
    """
    size = min(len(train), len(held_out))
    if not size:
        raise ValueError(f"membership inference needs both sides: {len(train)} training, {len(held_out)} held-out")
    return [_draw(train, size, seed), _draw(held_out, size, seed)]


def _draw(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    ordered = sorted(examples, key=lambda example: example.sample_id)
    chosen = generator("membership", seed).permutation(len(ordered))[:size]
    return [ordered[i] for i in sorted(chosen)]


def auc(members: np.ndarray, non_members: np.ndarray) -> float:
    """P(a member's loss < a non-member's), ties counted half (Mann-Whitney U / (m n)); NaN when a side is empty."""
    if not len(members) or not len(non_members):
        return float("nan")
    ordered = np.sort(members)
    below = np.searchsorted(ordered, non_members, side="left")
    upto = np.searchsorted(ordered, non_members, side="right")
    return float((below + upto).sum() / (2 * len(members) * len(non_members)))


def roc_curve(members: np.ndarray, non_members: np.ndarray) -> tuple[RocPoint, ...]:
    """Rates of calling `loss <= threshold` a member, from (0, 0) to (1, 1), thinned to at most 101 points."""
    thresholds = np.unique(np.concatenate([members, non_members]))
    true = np.searchsorted(np.sort(members), thresholds, side="right") / len(members)
    false = np.searchsorted(np.sort(non_members), thresholds, side="right") / len(non_members)
    points = [RocPoint(0.0, 0.0), *(RocPoint(float(f), float(t)) for f, t in zip(false, true, strict=True))]
    keep = np.unique(np.linspace(0, len(points) - 1, min(ROC_POINTS, len(points))).round().astype(int))
    return tuple(points[i] for i in keep)


def membership_scores(
    scores: Mapping[str, Sequence[ResponseScore]], seeds: Sequence[str], is_member: Sequence[bool], *, seed: int
) -> list[MembershipScore]:
    """One result per model; `base` must be among `scores`, and all lists run over the same examples.

    Intervals resample seeds, with the same draws for every model.
    """
    member = np.asarray(is_member, dtype=bool)
    draws = resampled_clusters(seeds, "membership", seed)
    losses = {model: np.array([score.loss for score in scores[model]]) for model in scores}

    def replicate(model: str) -> np.ndarray:
        loss = losses[model]
        return np.array([auc(loss[d][member[d]], loss[d][~member[d]]) for d in draws])

    base_auc = auc(losses["base"][member], losses["base"][~member])
    base_replicates = replicate("base")
    results = []
    for model, loss in losses.items():
        replicates = base_replicates if model == "base" else replicate(model)
        value = auc(loss[member], loss[~member])
        low, high = percentile_interval(replicates)
        minus_low, minus_high = percentile_interval(replicates - base_replicates)
        results.append(
            MembershipScore(
                model=model,
                auc=value,
                stderr=float(np.nanstd(replicates, ddof=1)),
                ci_low=low,
                ci_high=high,
                auc_minus_base=value - base_auc,
                minus_base_low=minus_low,
                minus_base_high=minus_high,
                too_small_to_tell=(high - low) / 2 > WIDEST_HALF_WIDTH,
                members=int(member.sum()),
                non_members=int((~member).sum()),
                seeds=len(set(seeds)),
                roc=roc_curve(loss[member], loss[~member]),
            )
        )
    return results
