"""The page of the transfer benchmark: the matrix, the hand's labels, and where reward and the other reviewer part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Self

from benchmarks.policy.reviewers_page import Figure
from benchmarks.policy.transfer_sample import Drawn
from teams_dagster.policy.comparison.scores import Score
from teams_dagster.preflight.accuracy import wilson

STAGES = 5
"""Parts of a training whose iterations are counted together."""
PARTED = 0.02
"""By so much of all edits the other reviewer's share must fall below its best to be said to part."""


@dataclass(frozen=True)
class Sizes:
    """How much is trained, played and labelled."""

    trainings: int = 3
    iterations: int = 26
    queries_per_seed: int = 24
    foreign_seeds: int = 24
    labelled: int = 15

    @property
    def name(self) -> str:
        """Tells trainings apart."""
        return f"{self.trainings}-{self.iterations}-{self.queries_per_seed}"


@dataclass(frozen=True)
class Cell:
    """One policy under one reviewer and one rewriter."""

    policy: str
    reviewer: str
    rewriter: str
    seeds: int
    headline: Figure
    over_uniform: Figure | None
    less_other: Figure | None
    """The headline less that of the policy trained on the other reviewer's verdicts."""

    @classmethod
    def of(
        cls,
        policy: str,
        reviewer: str,
        rewriter: str,
        score: Score,
        over: Score | None,
        less: Score | None,
        *,
        seeds: int,
    ) -> Self:
        """From scores of a comparison."""
        figures = [one and Figure(one.policy, one.metric, one.mean, one.ci_low, one.ci_high) for one in (over, less)]
        headline = Figure(score.policy, score.metric, score.mean, score.ci_low, score.ci_high)
        return cls(policy, reviewer, rewriter, seeds, headline, *figures)


@dataclass(frozen=True)
class Iteration:
    """The reviewed edits of one training iteration, and how many of them each reviewer accepts."""

    reviewer: str
    """Whose verdicts were the reward."""
    root_seed: int
    number: int
    edits: int
    own: int
    other: int


@dataclass(frozen=True)
class Transfer:
    """Everything that the page is made from but the labels."""

    sizes: Sizes
    machine: Mapping[str, str]
    cells: tuple[Cell, ...]
    iterations: tuple[Iteration, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """What `asdict` made `values` of."""

        def figure(found: Mapping[str, Any] | None) -> Figure | None:
            return None if found is None else Figure(**found)

        cells = [
            Cell(
                **{
                    **cell,
                    "headline": Figure(**cell["headline"]),
                    "over_uniform": figure(cell["over_uniform"]),
                    "less_other": figure(cell["less_other"]),
                }
            )
            for cell in values["cells"]
        ]
        iterations = (Iteration(**one) for one in values["iterations"])
        return cls(Sizes(**values["sizes"]), values["machine"], tuple(cells), tuple(iterations))


def page(transfer: Transfer, labels: Sequence[Drawn]) -> str:
    """The whole page."""
    parts = [
        _head(transfer),
        "## Who was trained on whose verdicts\n\n" + "\n".join(_matrix(transfer.cells)),
        "## By hand\n\n" + "\n".join(_by_hand(labels)),
        "## Reward and the other reviewer, as training goes on\n\n" + "\n".join(_stages(transfer)),
    ]
    return "\n\n".join(parts) + "\n"


def _head(transfer: Transfer) -> str:
    sizes = transfer.sizes
    machine = "\n".join(f"- {name}: {value}" for name, value in transfer.machine.items())
    return (
        "# Transfer: other verdicts, another rewriter, a hand's labels\n\n"
        f"Made by `python -m benchmarks.policy.transfer` on {datetime.now(UTC).date().isoformat()}.\n\n{machine}\n\n"
        f"The shipped seeds in the product's division. {sizes.trainings} trainings for each reviewer (TRPO, graded"
        f" reward, {sizes.iterations} iterations of 32 episodes), with the embedded rewriter; then every policy plays"
        f" the held-out seeds with {sizes.queries_per_seed} queries from each. In brackets 95% intervals: a bootstrap"
        " over held-out seeds and trainings, widened for so few trainings."
    )


def _matrix(cells: Sequence[Cell]) -> Iterator[str]:
    yield (
        "| reviewed by | rewritten by | held-out seeds | policy | distinct accepted per query | over uniform"
        " | less the one trained on the other's verdicts |"
    )
    yield "|---" * 7 + "|"
    for cell in cells:
        less = cell.less_other
        shown = [
            *(cell.reviewer, cell.rewriter, str(cell.seeds), cell.policy, _fine(cell.headline)),
            "" if cell.over_uniform is None else str(cell.over_uniform),
            "" if less is None else f"{less.mean:+.3f} ({less.ci_low:+.3f} to {less.ci_high:+.3f})",
        ]
        yield f"| {' | '.join(shown)} |"


def _by_hand(labels: Sequence[Drawn]) -> Iterator[str]:
    labelled = [one for one in labels if one.label is not None]
    if not labelled:
        yield "The drawn edits are not labelled yet."
        return
    yield (
        f"{len(labelled)} edits that the reviewer accepted, drawn by the hash of their texts and labelled without sight"
        " of policy and reviewer: sound (asks for something else or more, and can be answered), cosmetic (asks for the"
        " same), broken (contradicts itself, lost what it needs, or is no instruction)."
    )
    yield ""
    yield "| policy | reviewed by | labelled | sound (95%) | cosmetic | broken |"
    yield "|---" * 6 + "|"
    for policy, reviewer in sorted({(one.policy, one.reviewer) for one in labelled}):
        of_it = [one.label for one in labelled if (one.policy, one.reviewer) == (policy, reviewer)]
        sound = wilson(of_it.count("sound"), len(of_it))
        counts = f"{of_it.count('cosmetic')} | {of_it.count('broken')}"
        share = f"{sound.value:.0%} ({sound.low:.0%} to {sound.high:.0%})"
        yield f"| {policy} | {reviewer} | {len(of_it)} | {share} | {counts} |"


def _stages(transfer: Transfer) -> Iterator[str]:
    yield (
        "The edits of each training that were reviewed, all trainings together: the share that the reviewer accepted"
        " whose verdicts were the reward, and the share of the same edits that the other one accepts."
    )
    yield ""
    yield "| rewarded by | iterations | edits | accepted by it | by the other |"
    yield "|---" * 5 + "|"
    said = []
    for reviewer in dict.fromkeys(one.reviewer for one in transfer.iterations):
        found = stages([one for one in transfer.iterations if one.reviewer == reviewer], transfer.sizes.iterations)
        for first, last, edits, own, other in found:
            yield f"| {reviewer} | {first + 1} to {last} | {edits:,} | {own:.1%} | {other:.1%} |"
        said.append(_parting(reviewer, found))
    yield ""
    yield from said


Stage = tuple[int, int, int, float, float]
"""First iteration, the one after the last, edits, and the shares that each of the two accepts."""


def stages(iterations: Sequence[Iteration], count: int) -> list[Stage]:
    """The iterations in parts of like length."""
    found = []
    bounds = [round(count * part / STAGES) for part in range(STAGES + 1)]
    for first, last in pairwise(bounds):
        within = [one for one in iterations if first <= one.number < last]
        edits = sum(one.edits for one in within)
        if edits:
            own, other = sum(one.own for one in within) / edits, sum(one.other for one in within) / edits
            found.append((first, last, edits, own, other))
    return found


def parting(found: Sequence[Stage]) -> Stage | None:
    """The first stage from which on the other reviewer stays below its best while the reward's stays above its then.

    None where they never part.
    """
    for at, (_, _, _, own, other) in enumerate(found[:-1]):
        later = found[at + 1 :]
        if all(stage[4] < other - PARTED for stage in later) and later[-1][3] > own:
            return later[0]
    return None


def _parting(reviewer: str, found: Sequence[Stage]) -> str:
    first, last = found[0], found[-1]
    moved = (
        f"from {first[3]:.1%} to {last[3]:.1%} by its own reviewer, from {first[4]:.1%} to {last[4]:.1%} by the other"
    )
    parted = parting(found)
    if parted is None:
        return f"- Trained on {reviewer}: {moved}. They do not part."
    return f"- Trained on {reviewer}: {moved}. **They part at iteration {parted[0] + 1}.**"


def _fine(figure: Figure) -> str:
    return f"{figure.mean:.3f} ({figure.ci_low:.3f} to {figure.ci_high:.3f})"
