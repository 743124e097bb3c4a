"""`python -m benchmarks.policy.rules`: the default policy beside rules without a network, at a training's own queries.

The embedded rules answer. Each seed that was kept back is played with 12 queries (one episode of each policy) and with
24 (two): a rule that never draws repeats itself in the second. Rows go to RULES.jsonl, the table to RULES.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.policy.remembering import Remembering
from benchmarks.policy.rlgf import METRICS, Seeds, trained
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.policy.algorithms.config import TRPOConfig
from teams_dagster.policy.baselines import GENERIC_PROMPT, SEARCHED, SIMPLER_RULES, UNIFORM
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.compare import ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import TRAINED, Contender, baseline_contenders
from teams_dagster.policy.searched.searches import SEARCHES, never_draws, searched_version
from teams_dagster.policy.searched.trial import Trial

KEPT = Path(__file__).parent / "RULES.jsonl"


def searched(
    environment: Environment, seeds: Seeds, deployed: Sequence[Checkpoint], names: Sequence[str] = SEARCHED
) -> list[Contender]:
    """Each rule of `names`, searched as often as the policy was trained and with as many queries each time."""
    found = []
    for name in names:
        actors, versions = [], []
        for checkpoint in deployed:
            config = checkpoint.config
            trial = Trial(
                environment,
                seeds.train,
                name,
                config.root_seed,
                sum(record.queries for record in checkpoint.curve),
                config.allowed_operations,
                config.gamma,
                sink=lambda number, episodes: None,
                on_episode=lambda episode: None,
            )
            actors.append(asyncio.run(SEARCHES[name](trial)))
            versions.append(searched_version(name, config.root_seed, actors[-1]))
            print(name, config.root_seed, actors[-1], flush=True)
        found.append(Contender(name, tuple(actors), tuple(versions), all(map(never_draws, actors))))
    return found


def measure(trainings: int) -> None:
    """Train, search, play and write."""
    client, seeds = Remembering(), Seeds.shipped(validation=False)
    environment = Environment(client, Pool(seeds.train.values()), RewardConfig(), Role.INSTRUCTOR)
    with tempfile.TemporaryDirectory() as scratch:
        deployed = trained(client, "trpo", TRPOConfig(), "model", seeds, trainings, Path(scratch))
    policy = Contender(TRAINED, tuple(c.actor() for c in deployed), tuple(c.policy_version for c in deployed))
    compared = [
        policy,
        *searched(environment, seeds, deployed),
        *baseline_contenders([UNIFORM, GENERIC_PROMPT]),
    ]
    lines = []
    for queries in (12, 24):
        config = ComparisonConfig(questions_per_seed=queries)
        found = asyncio.run(compare(environment, compared, seeds.scored, config, trained_on=seeds.train))
        for score in found.scores:
            less = [f"{metric}_minus_{name}" for metric in METRICS for name in SIMPLER_RULES]
            if score.metric in (*METRICS, *less):
                row = {"policy": score.policy, "metric": score.metric, "queries_per_seed": queries}
                lines.append(row | {"mean": score.mean, "low": score.ci_low, "high": score.ci_high})
    KEPT.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    KEPT.with_suffix(".md").write_text(page(lines), encoding="utf-8")


def page(lines: list[dict[str, object]]) -> str:
    """The rows as a table in Markdown."""
    found = {(line["queries_per_seed"], line["policy"], line["metric"]): line for line in lines}
    policies = dict.fromkeys(policy for _, policy, _ in found)
    made = [f"| Queries a seed | Policy | {' | '.join(METRICS)} |", f"|{' --- |' * (2 + len(METRICS))}"]
    for queries in (12, 24):
        for policy in policies:
            cells = [found[queries, policy, metric] for metric in METRICS]
            shown = [f"{cell['mean']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})" for cell in cells]
            made.append(f"| {queries} | `{policy}` | {' | '.join(shown)} |")
    return "\n".join(made) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=5)
    measure(parser.parse_args().trainings)


if __name__ == "__main__":
    main()
