"""`python -m benchmarks.policy.splits`: what reading is worth, and whether it takes a learner, on five splits.

On each split of the shipped seeds the policy is trained as it ships, with two episodes of each seed in a batch
(`varied`), and as it ships without its text (`text_zeroed`, `text_noise`); a table is searched with as many queries;
then these, the one prompt without operations, uniform and the free look-ahead play the held-out seeds. The embedded
rules answer. Writes SPLITS.md and its rows, SPLITS.jsonl. What was trained is kept under benchmarks/.runs, which git
ignores, so that an interrupted measurement goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.policy.process import ROOT
from benchmarks.policy.remembering import Remembering
from benchmarks.policy.reviewers import split
from benchmarks.policy.rlgf import QUERIES, Seeds
from benchmarks.policy.rules import searched
from teams_dagster.core.protocol import Role
from teams_dagster.core.text import signed
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.policy.baselines import CEILING, GENERIC_PROMPT, TABLE, UNIFORM
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import TRAINED, UNREADING, Contender, baseline_contenders
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train
from teams_dagster.report.policy_sentences import WORTH_A_LEARNER

HERE = Path(__file__).parent
SCRATCH = ROOT / "benchmarks" / ".runs" / "splits"

VARIED = "varied"

SETTINGS: dict[str, dict[str, object]] = {
    TRAINED: {},
    VARIED: {"episodes_per_seed": 2},
    **{name: {"features": {"ablation": name}} for name in UNREADING},
}
"""What is trained, and what it is trained with beside the defaults."""

ALLOWANCES = (12, 24)
"""Queries from each held-out seed: enough for one episode, and for two."""

RULES = (TABLE, GENERIC_PROMPT)
"""Of the simpler rules the two that came nearest on the product's own split (RULES.md)."""

GAIN, READING, LEARNING, WAY = 1.3, 0.02, WORTH_A_LEARNER, 0.7
"""What was wanted: so many times uniform, so much over the stricter control, so many times the nearest simpler rule,
and so much of the way from uniform to the free look-ahead, ..."""

OVER_UNIFORM, WAY_PER_QUERY = f"{HEADLINE}_over_uniform", "accepted_per_query_share_of_gap"

GOAL_SPLITS, SPLITS = 4, 5
"""... on so many of so many splits."""


@dataclass(frozen=True)
class Figure:
    """A metric of the trained policy, or of another one, on one split."""

    split: int
    queries_per_seed: int
    policy: str
    metric: str
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def trained(client: Remembering, seeds: Seeds, name: str, trainings: int, place: Path) -> list[Checkpoint]:
    """So many trainings of a policy of `SETTINGS`; those that `place` has are not made again."""
    found = []
    for number in range(trainings):
        config = TrainingConfig.sized_for(QUERIES, {"root_seed": number, **SETTINGS[name]})
        path = place / f"{name}-{number}" / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        found.append(asyncio.run(train(client, seeds.train, config, path, progress=lambda line: None)))
        print(f"trained {name} {number}", file=sys.stderr, flush=True)
    return found


def of_split(number: int, trainings: int, place: Path) -> Iterator[Figure]:
    """Every figure of one split."""
    client, seeds = Remembering(), Seeds(*split(number))
    environment = Environment(client, Pool(seeds.train.values()), RewardConfig(), Role.INSTRUCTOR)
    found = {name: trained(client, seeds, name, trainings, place) for name in SETTINGS}
    donors = tuple(seeds.train.values())
    contenders = [
        Contender(name, tuple(c.actor(donors=donors) for c in made), tuple(c.policy_version for c in made))
        for name, made in found.items()
    ]
    contenders += searched(environment, seeds, found[TRAINED], (TABLE,))
    contenders += baseline_contenders([UNIFORM, GENERIC_PROMPT, CEILING])
    for queries in ALLOWANCES:
        config = ComparisonConfig(questions_per_seed=queries)
        compared = asyncio.run(compare(environment, contenders, seeds.scored, config, trained_on=seeds.train))
        yield from _figures(number, queries, compared)


def _figures(number: int, queries: int, compared: Comparison) -> Iterator[Figure]:
    others = (VARIED, *UNREADING, *RULES, UNIFORM)
    wanted = {
        *((name, metric) for name in (TRAINED, *others) for metric in (HEADLINE, "accepted_per_query", "return")),
        (VARIED, OVER_UNIFORM),
        *((TRAINED, f"{metric}_share_of_gap") for metric in ("accepted_per_query", HEADLINE)),
        *((TRAINED, f"{HEADLINE}_minus_{name}") for name in others),
        *((TRAINED, f"accepted_per_query_minus_{name}") for name in UNREADING),
        *((TRAINED, f"{HEADLINE}_over_{name}") for name in (*RULES, UNIFORM)),
    }
    for score in compared.scores:
        if (score.policy, score.metric) in wanted:
            yield Figure(number, queries, score.policy, score.metric, score.mean, score.ci_low, score.ci_high)


class Table:
    """The figures of all splits, by what they are of."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._found = {(f.split, f.queries_per_seed, f.policy, f.metric): f for f in figures}
        self.splits = sorted({figure.split for figure in figures})

    def of(self, number: int, queries: int, metric: str, policy: str = TRAINED) -> Figure:
        """Raises KeyError where it was not measured."""
        return self._found[number, queries, policy, metric]

    def stricter(self, number: int, queries: int) -> tuple[str, Figure]:
        """The control over which least is certain, and the gain over it."""
        gains = [(name, self.of(number, queries, f"{HEADLINE}_minus_{name}")) for name in UNREADING]
        return min(gains, key=lambda pair: pair[1].low)

    def nearest(self, number: int, queries: int) -> tuple[str, Figure]:
        """The simpler rule over which least is certain, and how many times its figure the policy's is."""
        ratios = [(name, self.of(number, queries, f"{HEADLINE}_over_{name}")) for name in RULES]
        return min(ratios, key=lambda pair: pair[1].low)


def page(table: Table, trainings: int) -> str:
    """The whole page."""
    lines = [
        f"# What reading is worth, and whether it takes a learner, on {len(table.splits)} of {SPLITS} splits",
        "",
        f"Made by `python -m benchmarks.policy.splits --trainings {trainings}`: the shipped seeds divided"
        f" {len(table.splits)} times, each by another hash (split 0 is the product's), near duplicates on one side; the"
        f" embedded rules; {trainings} trainings of the policy as it ships and of each control, and as many searches of"
        " the table, at a training's own queries. Distinct accepted edits per query on the held-out seeds, with 95%"
        " intervals over seeds and trainings. The splits share seeds, so they are no independent repetitions.",
    ]
    for queries in ALLOWANCES:
        lines += ["", f"## {queries} queries from each seed", "", *_rows(table, queries), "", *_goals(table, queries)]
    return "\n".join(lines) + "\n"


def _rows(table: Table, queries: int) -> Iterator[str]:
    yield (
        "| Split | Trained | Uniform | over uniform | two episodes a seed, over uniform | less the stricter control"
        " | the same in accepted per query | over the nearest simpler rule | of the way to the look-ahead |"
    )
    yield "| --- " * 9 + "|"
    for number in table.splits:
        control, gain = table.stricter(number, queries)
        rule, ratio = table.nearest(number, queries)
        cells = [
            f"{number}",
            f"{table.of(number, queries, HEADLINE)}",
            f"{table.of(number, queries, HEADLINE, UNIFORM)}",
            _times(table.of(number, queries, OVER_UNIFORM)),
            _times(table.of(number, queries, OVER_UNIFORM, VARIED)),
            f"`{control}` {_difference(gain)}",
            _difference(table.of(number, queries, f"accepted_per_query_minus_{control}")),
            f"`{rule}` {_times(ratio)}",
            f"{table.of(number, queries, WAY_PER_QUERY).mean:.0%}",
        ]
        yield f"| {' | '.join(cells)} |"


def _goals(table: Table, queries: int) -> Iterator[str]:
    reading = [table.stricter(number, queries)[1] for number in table.splits]
    learning = [table.nearest(number, queries)[1] for number in table.splits]
    plain = [table.of(number, queries, OVER_UNIFORM) for number in table.splits]
    varied = [table.of(number, queries, OVER_UNIFORM, VARIED) for number in table.splits]
    way = [table.of(number, queries, WAY_PER_QUERY) for number in table.splits]
    yield f"- Over uniform, wanted {_goal(GAIN, 1, plain)}."
    yield f"- The same with two episodes a seed in a batch, {_goal(GAIN, 1, varied)}."
    yield f"- Reading, wanted over the stricter control {_goal(READING, 0, reading)}."
    yield f"- A learner, wanted over the nearest simpler rule {_goal(LEARNING, 1, learning)}."
    yield (
        f"- Of the way from uniform to the free look-ahead, in accepted edits per query, wanted {WAY:.0%}:"
        f" {min(figure.mean for figure in way):.0%} to {max(figure.mean for figure in way):.0%}."
    )


def _goal(least: float, nothing: int, figures: Sequence[Figure]) -> str:
    """How often so much was reached, and how often anything was."""
    reached = sum(figure.low > nothing and figure.mean >= least for figure in figures)
    clear = sum(figure.low > nothing for figure in figures)
    told = f"open, {len(figures)} of {SPLITS} splits were measured"
    if len(figures) - reached > SPLITS - GOAL_SPLITS:
        told = "**not reached**"
    elif reached >= GOAL_SPLITS:
        told = "reached"
    of_nothing = "zero" if nothing == 0 else f"{nothing}"
    return (
        f"at least {least:g} and clear of {of_nothing} on four of five: so on {reached} of {len(figures)}, clear of"
        f" {of_nothing} on {clear}: {told}"
    )


def _times(figure: Figure) -> str:
    return f"{figure.mean:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def _difference(figure: Figure) -> str:
    return f"{signed(figure.mean)} ({signed(figure.low)} to {signed(figure.high)})"


def measure(splits: int, trainings: int, output: Path, scratch: Path) -> None:
    """Measure what `scratch` lacks, split by split; the page and its rows are written after each."""
    figures: list[Figure] = []
    for number in range(splits):
        place = scratch / f"{trainings}-{number}"
        place.mkdir(parents=True, exist_ok=True)
        kept = place / "figures.jsonl"
        if not kept.exists():
            made = list(of_split(number, trainings, place))
            kept.write_text("".join(json.dumps(asdict(figure)) + "\n" for figure in made), encoding="utf-8")
        lines = kept.read_text(encoding="utf-8").splitlines()
        figures += [Figure(**json.loads(line)) for line in lines]
        output.with_suffix(".jsonl").write_text(
            "".join(json.dumps(asdict(figure)) + "\n" for figure in figures), encoding="utf-8"
        )
        output.write_text(page(Table(figures), trainings), encoding="utf-8")
        print(f"split {number} is measured", file=sys.stderr, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=SPLITS, help="divisions of the seeds; the first is the product's")
    parser.add_argument("--trainings", type=int, default=3, help="policies trained of each kind, root seeds 0, 1, ...")
    parser.add_argument("--output", type=Path, default=HERE / "SPLITS.md")
    asked = parser.parse_args()
    measure(asked.splits, asked.trainings, asked.output, SCRATCH)


if __name__ == "__main__":
    main()
