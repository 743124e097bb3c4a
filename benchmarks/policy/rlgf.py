"""`python -m benchmarks.policy.rlgf`: every algorithm with the same queries, under two guides; `--tune`: its settings.

The embedded rules answer. With `--tune`, each candidate trains on a part of the training seeds and is scored on their
validation part (`instructions.seed_splits`): what ships by default was chosen there. Without it, what ships trains on
all training seeds and is scored on those kept back. Rows go to RLGF.jsonl and the table to RLGF.md; with `--tune`, to
RLGF-candidates.jsonl and RLGF-candidates.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.policy.remembering import Remembering
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path
from teams_dagster.policy.algorithms.base import BaseAlgorithmConfig
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
)
from teams_dagster.policy.baselines import GUIDE, LOOK_AHEAD, UNIFORM
from teams_dagster.policy.checkpoint import CHECKPOINT, Checkpoint, divide, divide_training
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
from teams_dagster.policy.comparison.plan import COMPARED
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train

QUERIES = 10_000
METRICS = ("return", "accepted_per_query", "distinct_accepted_per_query", "accepted_per_episode")
HERE = Path(__file__).parent
RESULTS, CANDIDATES = "RLGF.jsonl", "RLGF-candidates.jsonl"
"""What is measured of what ships, and of candidates; RLGF-tuning.md, which says what was chosen, is written by hand."""


def candidates() -> dict[str, BaseAlgorithmConfig]:
    """What was tried for each on the validation part."""
    found: dict[str, BaseAlgorithmConfig] = {}
    for rate, epochs in ((1e-3, 5), (3e-3, 10), (5e-3, 10), (1e-2, 10)):
        step, name = PPOConfig(learning_rate=rate, epochs=epochs), f"rate {rate} epochs {epochs}"
        found[f"ppo, {name}"] = step
        for beta in (0.2, 0.4, 0.6, 0.8):
            found[f"ppo_plus_plus, beta {beta}, {name}"] = PPOPlusPlusConfig(beta=beta, step=step)
        for form in ("mask", "one_step"):
            found[f"aggrevated_{form}, {name}"] = AggreVaTeDConfig(form=form, beta=0.8, step=step)
        for beta in (0.0, 0.4, 0.8):
            found[f"d2lols, mask, beta {beta}, {name}"] = D2LOLSConfig(form="mask", beta_learner=beta, step=step)
            found[f"d2lols, enumerated, beta {beta}, {name}"] = D2LOLSConfig(
                form="enumerated", beta_learner=beta, beta_guide=1.0, switch=1, step=step
            )
        for beta in (0.4, 0.8):
            found[f"lols, mask, beta {beta}, {name}"] = LOLSConfig(form="mask", beta_learner=beta, step=step)
    for rate, epochs in ((5e-3, 40), (1e-2, 10), (1e-2, 40), (1e-2, 80)):
        step = PPOConfig(learning_rate=rate, epochs=epochs)
        found[f"aggrevated_enumerated, rate {rate} epochs {epochs}"] = AggreVaTeDConfig(
            form="enumerated", beta=1.0, step=step
        )
    for rate in (1e-3, 3e-3):
        found[f"bc, rate {rate}"] = BCConfig(learning_rate=rate)
        found[f"dagger, rate {rate}"] = DAggerConfig(learning_rate=rate)
    return found


@dataclass(frozen=True)
class Seeds:
    """What is trained on and what is scored on, by id."""

    train: dict[str, Instruction]
    scored: dict[str, Instruction]

    @classmethod
    def shipped(cls, *, validation: bool) -> Seeds:
        """The shipped seeds: the training side and those kept back, or the training side divided."""
        library = load_seeds(shipped_seeds_path())
        clusters = seed_clusters(library.seeds)
        train, held_out = divide(library.seeds, clusters)
        return cls(*divide_training(train, clusters)) if validation else cls(train, held_out)


@dataclass(frozen=True)
class Row:
    """What the trainings of one algorithm came to."""

    algorithm: str
    guide: str
    scored_on: str
    """`validation` or `held_out`, and the hash of the ids."""
    iterations: int
    queries: float
    """Mean over trainings, the guide's included."""
    guide_queries: float
    trainings: int
    metrics: dict[str, tuple[float, float, float]]
    """Mean and 95% interval."""


def trained(
    client: LLMClient, name: str, algorithm: BaseAlgorithmConfig, guide: str, seeds: Seeds, trainings: int, place: Path
) -> list[Checkpoint]:
    """So many trainings of one algorithm, sized for `QUERIES`; those that `place` has are not made again."""
    found = []
    for number in range(trainings):
        settings = {"algorithm": algorithm, "guide": guide, "root_seed": number}
        config = TrainingConfig.sized_for(QUERIES, settings)
        path = place / guide / f"{name}-{number}" / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        found.append(asyncio.run(train(client, seeds.train, config, path, progress=lambda line: None)))
    print(f"trained {name} under {guide}", file=sys.stderr, flush=True)
    return found


def scored(
    client: LLMClient, policies: Mapping[str, Sequence[Checkpoint]], seeds: Seeds, names: list[str]
) -> Comparison:
    """Every policy beside the baselines called `names` on the seeds that are scored on."""
    contenders = [
        Contender(name, tuple(c.actor() for c in found), tuple(c.policy_version for c in found))
        for name, found in policies.items()
    ]
    environment = Environment(client, Pool(seeds.train.values()), RewardConfig(), Role.INSTRUCTOR)
    return asyncio.run(
        compare(
            environment,
            [*contenders, *baseline_contenders(names)],
            seeds.scored,
            ComparisonConfig(),
            trained_on=seeds.train,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )


def measure(
    algorithms: Mapping[str, BaseAlgorithmConfig],
    guides: Sequence[str],
    trainings: int,
    kept: Path,
    place: Path,
    *,
    tune: bool,
) -> None:
    """Train and score every algorithm under every guide; rows go to `kept` as JSON lines, trainings to `place`."""
    client, seeds = Remembering(), Seeds.shipped(validation=tune)
    where = f"{'validation' if tune else 'held_out'} {content_hash(sorted(seeds.scored))[:12]}"
    with kept.open("w", encoding="utf-8") as file:
        for guide in guides:
            policies = {
                name: trained(client, name, algorithm, guide, seeds, trainings, place)
                for name, algorithm in algorithms.items()
                if guide == guides[0] or algorithm.asks_guide
            }
            found = scored(client, policies, seeds, [UNIFORM, GUIDE if guide == "model" else LOOK_AHEAD])
            for row in rows(policies, found, guide, where, trainings):
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()


def rows(
    policies: Mapping[str, Sequence[Checkpoint]], found: Comparison, guide: str, where: str, trainings: int
) -> list[Row]:
    """A row for every policy and baseline that was scored."""
    made = []
    for name in found.tallies:
        curves = [checkpoint.curve for checkpoint in policies.get(name, ())]
        count = max(1, len(curves))
        metrics = {metric: found.score(name, metric) for metric in METRICS}
        made.append(
            Row(
                name,
                guide,
                where,
                iterations=len(curves[0]) if curves else 0,
                queries=sum(record.queries for curve in curves for record in curve) / count,
                guide_queries=sum(record.guidance_queries for curve in curves for record in curve) / count,
                trainings=trainings if curves else 0,
                metrics={metric: (score.mean, score.ci_low, score.ci_high) for metric, score in metrics.items()},
            )
        )
    return made


def page(kept: Path) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| Guide | Policy | Trainings | Iterations | Queries | To the guide | Return | Accepted per query | Distinct |",
        f"|{' --- |' * 9}",
    ]
    for line in kept.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        shown = [_figure(row["metrics"][metric]) for metric in METRICS[:3]]
        asked = [f"{row['queries']:,.0f}", f"{row['guide_queries']:,.0f}"] if row["trainings"] else ["", ""]
        counts = [str(row[name] or "") for name in ("trainings", "iterations")]
        cells = [row["guide"], f"`{row['algorithm']}`", *counts, *asked, *shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure(measured: Sequence[float]) -> str:
    mean, low, high = measured
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="score candidates on the validation part")
    parser.add_argument("--trainings", type=int, default=5)
    parser.add_argument("--guides", nargs="+", choices=["model", "look_ahead"], default=["model", "look_ahead"])
    parser.add_argument("--folder", type=Path, help="keeps the trainings: an interrupted measurement goes on there")
    parser.add_argument("--only", nargs="+", default=[], help="algorithms by the beginnings of their names")
    asked = parser.parse_args()
    known = candidates() if asked.tune else COMPARED
    chosen = {name: config for name, config in known.items() if not asked.only or name.startswith(tuple(asked.only))}
    kept = HERE / (CANDIDATES if asked.tune else RESULTS)
    guides = asked.guides[:1] if asked.tune else asked.guides
    with tempfile.TemporaryDirectory() as scratch:
        measure(chosen, guides, asked.trainings, kept, asked.folder or Path(scratch), tune=asked.tune)
    kept.with_suffix(".md").write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
