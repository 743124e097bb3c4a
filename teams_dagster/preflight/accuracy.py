"""How right a reviewer or a judge is on labelled pairs: balanced accuracy with interval, by kind, and position bias.

Balanced accuracy is the mean of the shares of pairs that are said right, one share a label: who always says the same
gets 1 / labels, whatever the labels' numbers. Its 95% interval joins the labels' Wilson intervals by MOVER (Zou and
Donner 2008): with shares p_i and bounds l_i, u_i of k labels, mean - sqrt(sum (p_i - l_i)^2) / k to
mean + sqrt(sum (u_i - p_i)^2) / k. It needs no draws, and holds where every pair is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from teams_dagster.evaluation.statistics import Z

UNCLEAR = "unclear"
"""A reply that is no verdict: never right."""


class Share(BaseModel):
    """A share with its 95% interval (Wilson)."""

    model_config = ConfigDict(frozen=True)

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing."""
        return self.count / self.of if self.of else 0.0


class KindCount(BaseModel):
    """What was said of the pairs of one kind."""

    model_config = ConfigDict(frozen=True)

    kind: str
    label: str
    pairs: int
    right: int
    unclear: int


class PositionBias(BaseModel):
    """What changed when the two texts changed places."""

    model_config = ConfigDict(frozen=True)

    changed: Share
    """Pairs of which something else was said; a pair that was unclear in either order is left out."""
    first_preferred: int
    """Of those, how often the text in the first place was preferred both times; 0 for a reviewer, who prefers none."""


class Accuracy(BaseModel):
    """How right a reviewer or a judge is."""

    model_config = ConfigDict(frozen=True)

    balanced: float
    low: float
    high: float
    pairs: int
    unclear: int
    labels: int
    """Verdicts that can be right: chance is 1 / labels."""
    kinds: tuple[KindCount, ...]
    position: PositionBias


@dataclass(frozen=True)
class Said:
    """What was said of one pair. None where the query got no answer."""

    kind: str
    label: str
    said: str | None
    turned: str | None = None
    """In the other order, in the terms of the first one: `first` is the same text in both. None where not asked."""
    same_place: bool = False
    """Whether the text in the first place was preferred in both orders."""


def wilson(count: int, of: int) -> Share:
    """The share `count / of` with its Wilson interval; 0 to 1 where there is nothing."""
    if of == 0:
        return Share(count=0, of=0, low=0.0, high=1.0)
    share, z2 = count / of, Z * Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    margin = Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    low = 0.0 if count == 0 else middle - margin
    return Share(count=count, of=of, low=low, high=1.0 if count == of else middle + margin)


def accuracy_of(said: Sequence[Said]) -> Accuracy:
    """How right the answered ones of `said` are. Raises ValueError where a label has no answered pair."""
    answered = [one for one in said if one.said is not None]
    labels = sorted({one.label for one in said})
    shares = [_right([one for one in answered if one.label == label]) for label in labels]
    if missing := [label for label, share in zip(labels, shares, strict=True) if not share.of]:
        raise ValueError(f"no pair labelled {', '.join(missing)} was answered: nothing can be said of accuracy")
    balanced = sum(share.value for share in shares) / len(shares)
    below = math.sqrt(sum((share.value - share.low) ** 2 for share in shares)) / len(shares)
    above = math.sqrt(sum((share.high - share.value) ** 2 for share in shares)) / len(shares)
    return Accuracy(
        balanced=balanced,
        low=max(0.0, balanced - below),
        high=min(1.0, balanced + above),
        pairs=len(answered),
        unclear=sum(one.said == UNCLEAR for one in answered),
        labels=len(labels),
        kinds=tuple(_kinds(answered)),
        position=_position(answered),
    )


def _right(said: Sequence[Said]) -> Share:
    return wilson(sum(one.said == one.label for one in said), len(said))


def _kinds(said: Sequence[Said]) -> Iterable[KindCount]:
    for kind, label in dict.fromkeys((one.kind, one.label) for one in said):
        alike = [one for one in said if (one.kind, one.label) == (kind, label)]
        yield KindCount(
            kind=kind,
            label=label,
            pairs=len(alike),
            right=_right(alike).count,
            unclear=sum(one.said == UNCLEAR for one in alike),
        )


def _position(said: Sequence[Said]) -> PositionBias:
    read = [one for one in said if one.turned not in (None, UNCLEAR) and one.said != UNCLEAR]
    changed = wilson(sum(one.said != one.turned for one in read), len(read))
    return PositionBias(changed=changed, first_preferred=sum(one.same_place for one in read))
