"""Exactly so many samples of a generation: how far to play, what is left out beyond them, and what they would take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from teams_dagster.core.disk_rows import Part, Rows
from teams_dagster.core.text import about_dollars
from teams_dagster.dataset.curation import DroppedSample, DropReason
from teams_dagster.dataset.sample import Example
from teams_dagster.environment.state import HORIZON
from teams_dagster.instructions.seed_splits import Split

LEAST_TARGET = 3
"""One sample on each side of the split."""


class TargetUnread(ValueError):
    """So many samples of a generation are wanted where no generation is in the dataset."""


def refuse_target_unread(target: int, pairs_mode: str) -> None:
    """Raises TargetUnread where people's pairs take the place of the generations (`TEAMS_PAIRS_MODE`)."""
    if pairs_mode == "instead":
        raise TargetUnread(
            f"target_samples is {target}, and TEAMS_PAIRS_MODE=instead leaves every generation out of the dataset: none"
            " of these samples would stand in it. Set TEAMS_PAIRS_MODE=beside, or leave out target_samples"
        )


FIRST_YIELD = float(HORIZON)
"""Samples that an episode is taken to bring before one was played: as many as it can, so that the first round brings
none beyond a target."""

AFFORDED = 1.5
"""A round is played whole where the budgets likely pay this many times what it needs; else half of what they do pay, so
that next to no episode is begun that cannot be ended."""


@dataclass(frozen=True)
class Kept:
    """What a generation would have in the dataset if it ended now."""

    samples: int
    complete: bool = True
    """Whether each side of the split has an example: without that there is no dataset."""

    def reaches(self, target: int) -> bool:
        """Whether it may end."""
        return self.complete and self.samples >= target


def episodes_needed(target: int, kept: Kept, played: int) -> int:
    """Episodes that likely bring what is missing, by what those `played` brought; at least 1."""
    brought = kept.samples / played if played else FIRST_YIELD
    missing = max(1, target - kept.samples)
    return math.ceil(missing / brought) if brought else max(1, played)


def episodes_afforded(wanted: int, times: float) -> int:
    """How many of the `wanted` episodes are begun where the budgets likely pay so many `times` what they need."""
    return wanted if times >= AFFORDED else max(1, int(wanted * times / 2))


def within_targets(
    splits: Mapping[Split, Rows[Example]], ordered: Iterable[tuple[str, str]], targets: Mapping[str, int]
) -> tuple[dict[Split, Rows[Example]], tuple[DroppedSample, ...]]:
    """The examples within the `targets`, and those beyond.

    The first in canonical order stay, whatever came first from a model; of a side that would be empty, its first one.

    Args:
        splits: The examples of each side.
        ordered: (sample_id, partition) in canonical order, of these examples and perhaps of others.
        targets: By partition, how many of its examples stay at most.
    """
    if not targets:
        return dict(splits), ()
    sides = {example.sample_id: split for split, rows in splits.items() for example in rows}
    left = Counter(sides.values())
    own: dict[str, list[str]] = {partition: [] for partition in targets}
    for sample_id, partition in ordered:
        if partition in own and sample_id in sides:
            own[partition].append(sample_id)
    beyond: list[str] = []
    for partition, members in own.items():
        excess = len(members) - targets[partition]
        for sample_id in reversed(members):
            if excess > 0 and left[sides[sample_id]] > 1:
                beyond.append(sample_id)
                left[sides[sample_id]] -= 1
                excess -= 1
    out = set(beyond)
    within: dict[Split, Rows[Example]] = {
        split: Part(rows, (place for place, example in enumerate(rows) if example.sample_id not in out))
        for split, rows in splits.items()
    }
    return within, tuple(DroppedSample(sample_id, DropReason.BEYOND_TARGET) for sample_id in sorted(out))


@dataclass(frozen=True)
class Spending:
    """What a generation asked on its way, answers that were there already included."""

    queries: int
    sent: int
    """Of these, the ones that were paid now."""
    nano_usd: int | None
    """What these cost; None where a price is not known."""


def shortfall_sentence(target: int, kept: Kept, because: str, spending: Spending, refused: Mapping[str, int]) -> str:
    """Why a generation ends before its target, and what that would take at the yield so far.

    `refused` are its samples that were refused, by reason: for what they say, their thoughts or their score.
    """
    have = f"{min(kept.samples, target)} of {target} samples: {because}"
    if not kept.complete:
        have += "; a side of the split has none yet, and without that there is no dataset"
    if refused:
        counts = Counter(refused).most_common()
        have += f"; refused: {', '.join(f'{count:,} {reason}' for reason, count in counts)}"
    if not kept.samples:
        return f"{have}. Nothing was kept so far, so what the target would take is not known"
    per_sample = spending.queries / kept.samples
    more = math.ceil(max(0, target - kept.samples) * per_sample)
    cost = ""
    if spending.sent and spending.nano_usd:
        cost = f" and {about_dollars(round(more * spending.nano_usd / spending.sent))}"
    return f"{have}. At {per_sample:.1f} queries a sample, as so far, the rest takes about {more:,} more queries{cost}"
