"""`python -m benchmarks.policy.reviewers`: the trained policy over uniform, by reviewer and by split of the seeds.

The same instructor, trainings and comparison as the assets', once with the embedded rules' verdicts and once with those
of a sentence-embedding model, which knows nothing of the rules that rewrite. Writes REVIEWERS.md and its rows,
REVIEWERS.jsonl. Scratch files are under benchmarks/.runs, which git ignores; a measurement that is interrupted goes on
from them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.llm import environments, machine
from benchmarks.policy.process import ROOT
from benchmarks.policy.reviewers_page import Circumstances, Figure, Row, Sizes, page
from resources.language_models.embedding.reviewer import EmbeddingReviewer
from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LanguageModel, Role
from teams_dagster.environment.recording import PARTS
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.policy.checkpoint import divide
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig
from teams_dagster.policy.comparison.comparison_run import run_comparison
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.policy.comparison.trainings import Trainings
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training_run import train_policy
from teams_dagster.pricing.prices import load_prices
from teams_dagster.weights import MINILM, small_model

SCRATCH = ROOT / "benchmarks" / ".runs" / "reviewers"

PACKAGES = ("teams-dagster", "torch", "numpy", "sentence-transformers")

RULES = "embedded rules"

MEASURED = (
    ("trained", HEADLINE),
    ("uniform", HEADLINE),
    ("trained", f"{HEADLINE}_over_uniform"),
    ("trained", "accepted_per_episode_over_uniform"),
    ("trained", "allowance_used"),
)


@dataclass(frozen=True)
class Asked:
    """Opens engines whose reviewer is `reviewer`; an edit that is on the ledger is not reviewed again."""

    reviewer: LanguageModel
    ledger_url: str
    run_id: str
    rewriter: LanguageModel = field(default_factory=OfflineModel)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """An engine for training and comparison."""
        roles = {Role.INSTRUCTOR: self.rewriter, Role.REVIEWER: self.reviewer}
        with Ledger(self.ledger_url) as ledger:
            engine = Engine(roles, ledger, CallContext(self.run_id, "policy_comparison"), load_prices())
            try:
                yield engine
            finally:
                await engine.close()


def split(number: int) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """The shipped seeds that train and that compare, by id. Split 0 is the product's; others draw anew.

    Near duplicates are on one side in each.
    """
    seeds = load_seeds(shipped_seeds_path()).seeds
    clusters = seed_clusters(seeds)
    if number:
        clusters = {seed_id: f"split {number} of {cluster}" for seed_id, cluster in clusters.items()}
    return divide(seeds, clusters)


async def compared(asked: Asked, number: int, sizes: Sizes, folder: Path) -> Comparison:
    """Train on one side of split `number`, as often as `sizes` says, and play on the other."""
    training_seeds, held_out = split(number)
    config = TrainingConfig(iterations=sizes.iterations)
    plan = ComparisonPlan(
        ComparisonConfig(questions_per_seed=sizes.queries_per_seed),
        sizes.trainings,
        baselines=("uniform",),
        ablations=(),
    )
    shutil.rmtree(folder / PARTS / "comparison", ignore_errors=True)
    first = await train_policy(
        asked.engine(), training_seeds, config, None, folder=folder, run_id=asked.run_id, log=quietly
    )
    trainings = Trainings(training_seeds, first, None, plan, folder, asked.run_id, elsewhere=None)
    comparison, _ = await run_comparison(asked.engine(), trainings, held_out, None, quietly)
    return comparison


def measured(comparison: Comparison) -> Iterator[Figure]:
    """What the page shows of a comparison."""
    for policy, metric in MEASURED:
        score = comparison.score(policy, metric)
        yield Figure(policy, metric, score.mean, score.ci_low, score.ci_high)


def rows(reviewers: Mapping[str, LanguageModel], sizes: Sizes, scratch: Path) -> Iterator[Row]:
    """A row for each split and reviewer. What `scratch` has is not measured again."""
    for number in range(sizes.splits):
        for name, reviewer in reviewers.items():
            folder = scratch / f"{name.replace(' ', '-')}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / "row.json"
            if not kept.exists():
                kept.write_text(json.dumps(asdict(_row(name, reviewer, number, sizes, folder))), encoding="utf-8")
            yield Row.of(json.loads(kept.read_text(encoding="utf-8")))


def _row(name: str, reviewer: LanguageModel, number: int, sizes: Sizes, folder: Path) -> Row:
    asked = Asked(reviewer, sqlite_url(folder.parent / "ledger.sqlite"), folder.name)
    comparison = loop.run(compared(asked, number, sizes, folder))
    training_seeds, held_out = split(number)
    return Row(
        reviewer=name,
        split=number,
        training_seeds=len(training_seeds),
        held_out_seeds=len(held_out),
        figures=tuple(measured(comparison)),
        flat_reward=comparison.flat_reward,
    )


def measure(output: Path, reviewers: Mapping[str, LanguageModel], sizes: Sizes, scratch: Path = SCRATCH) -> None:
    """Write the page to `output` and the rows beside it. `scratch` is of these sizes alone, and gone afterwards."""
    described, scratch = machine.describe(ROOT), scratch / sizes.name
    found: list[Row] = []
    for row in rows(reviewers, sizes, scratch):
        found.append(row)
        ratio = row.figure("trained", f"{HEADLINE}_over_uniform")
        say(f"{row.reviewer}, split {row.split}: trained over uniform {ratio}")
    circumstances = Circumstances(
        date=datetime.now(UTC).date().isoformat(),
        machine=described,
        versions=environments.versions(Path(sys.executable), PACKAGES),
    )
    lines = [json.dumps(asdict(row)) for row in found]
    output.with_suffix(".jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    output.write_text(page(found, sizes, circumstances), encoding="utf-8")
    shutil.rmtree(scratch)
    say(f"wrote {output}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    usual = Sizes()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--splits", type=int, default=usual.splits, help="divisions of the seeds; the first is the product's"
    )
    parser.add_argument(
        "--trainings", type=int, default=usual.trainings, help="policies trained for each, root seeds 0, 1, ..."
    )
    parser.add_argument("--iterations", type=int, default=usual.iterations, help="updates of each, of 32 episodes")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "REVIEWERS.md")
    asked = parser.parse_args(arguments)
    sizes = Sizes(asked.splits, asked.trainings, asked.iterations)
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    reviewers = {RULES: OfflineModel(), "MiniLM": EmbeddingReviewer(str(small_model(ROOT, MINILM)))}
    measure(asked.output, reviewers, sizes)


def quietly(_: str) -> None:
    """Of a training only the end is told."""


def say(text: str) -> None:
    """To the terminal, beside what is written."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
