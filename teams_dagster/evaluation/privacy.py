"""What membership inference finds: can one tell training examples from held-out ones by how a model takes them?

An area under the ROC curve (AUC) of 0.5 means nothing leaks. The base saw neither side, so its own AUC shows how much
the two sides differ by themselves (split bias). Three attacks:

| attack | an example is a member, the lower |
|---|---|
| `loss` | its loss per token (Yeom et al. 2018, arXiv 1709.01604) |
| `min_k` | less its Min-K%++ score, of its least expected tokens (Zhang et al. 2024, arXiv 2404.02936) |
| `reference` | its loss less the base's, so that easy texts do not stand out (Watson et al. 2022, arXiv 2111.08440) |

True positives are reported at low rates of false positives (Carlini et al. 2022, arXiv 2112.03570), but only at those
that the number of non-members can resolve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teams_dagster.evaluation.statistics import percentile_interval, resampled_clusters

LOSS, MIN_K, REFERENCE = "loss", "min_k", "reference"
WIDEST_HALF_WIDTH = 0.05
ROC_POINTS = 101
FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True)
class RocPoint:
    """A threshold's rates."""

    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class MembershipScore:
    """How well an attack tells a model's training examples from others."""

    model: str
    auc: float
    stderr: float
    ci_low: float
    ci_high: float
    auc_minus_base: float
    """Paired with the base's own AUC, or less 0.5 where the attack has none of the base; 0 for the base."""
    minus_base_low: float
    minus_base_high: float
    too_small_to_tell: bool
    """The 95% interval of the AUC is wider than +-0.05."""
    members: int
    non_members: int
    seeds: int
    roc: tuple[RocPoint, ...]
    attack: str = LOSS
    rates: tuple[RocPoint, ...] = ()
    """True positives at each of FALSE_POSITIVE_RATES above 1 / non-members."""


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
    return tuple(points[int(i)] for i in keep)


def rates_at(members: np.ndarray, non_members: np.ndarray) -> tuple[RocPoint, ...]:
    """The most true positives at no more than each false positive rate that this many non-members can resolve.

    A threshold that calls one non-member a member is at a rate of 1 / non-members already: lower rates are guesses.
    """
    ordered = np.sort(non_members)
    points: list[RocPoint] = []
    for rate in FALSE_POSITIVE_RATES:
        if rate > 1 / len(ordered):
            allowed = int(np.floor(rate * len(ordered) + 1e-9))
            # every value below the first non-member that is one too many
            threshold = ordered[allowed] if allowed < len(ordered) else np.inf
            points.append(RocPoint(rate, float((members < threshold).mean())))
    return tuple(points)


def membership_scores(
    attack: str,
    values: Mapping[str, np.ndarray],
    seeds: Sequence[str],
    is_member: Sequence[bool],
    *,
    seed: int,
) -> list[MembershipScore]:
    """One result per model; all `values` run over the same examples, and members' are lower.

    The control is the model `base`, a guess (0.5) where it is not among them. Intervals resample seeds, with the same
    draws for every model and attack.
    """
    member = np.asarray(is_member, dtype=bool)
    draws = resampled_clusters(seeds, "membership", seed)

    def replicate(own: np.ndarray) -> np.ndarray:
        return np.array([auc(own[d][member[d]], own[d][~member[d]]) for d in draws])

    control, control_replicates = 0.5, np.full(len(draws), 0.5)
    if "base" in values:
        control, control_replicates = auc(values["base"][member], values["base"][~member]), replicate(values["base"])
    results: list[MembershipScore] = []
    for model, own in values.items():
        replicates = control_replicates if model == "base" else replicate(own)
        value = auc(own[member], own[~member])
        low, high = percentile_interval(replicates)
        minus_low, minus_high = percentile_interval(replicates - control_replicates)
        results.append(
            MembershipScore(
                model=model,
                auc=value,
                stderr=float(np.nanstd(replicates, ddof=1)),
                ci_low=low,
                ci_high=high,
                auc_minus_base=value - control,
                minus_base_low=minus_low,
                minus_base_high=minus_high,
                too_small_to_tell=(high - low) / 2 > WIDEST_HALF_WIDTH,
                members=int(member.sum()),
                non_members=int((~member).sum()),
                seeds=len(set(seeds)),
                roc=roc_curve(own[member], own[~member]),
                attack=attack,
                rates=rates_at(own[member], own[~member]),
            )
        )
    return results


@dataclass(frozen=True)
class CanaryAudit:
    """What the canary adapter gives away, and what the base's own guess is."""

    results: tuple[MembershipScore, ...]
    exposure: float
    """Mean over the canaries shown, in bits: `guessed_exposure` where nothing was learnt, at most `most_exposure`."""
    base_exposure: float
    most_exposure: float
    shown: int
    times_shown: int

    @property
    def guessed_exposure(self) -> float:
        """Bits by guessing: every rank among those never shown is equally likely; 1.36 with 50, 1.44 with very many."""
        return float(np.log2(self.shown + 1) - np.log2(np.arange(1, self.shown + 2)).mean())
