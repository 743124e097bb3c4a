"""A language model as the operation policy beside the small network: what either learns from the same few queries.

    python -m benchmarks.policy.language_model
    python -m benchmarks.policy.language_model --base models/smollm2 --trainings 1

The embedded rules answer. By default the base is the embedded student, pre-trained on the spot, and a measurement takes
some ten minutes on one core. Each training asks at most 2,000 queries and is kept in benchmarks/.runs, so that an
interrupted one goes on. Writes LANGUAGE_MODEL.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.policy.process import ROOT
from benchmarks.policy.remembering import Remembering
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import load_seeds, shipped_seeds_path
from teams_dagster.policy.algorithms.config import PPOConfig
from teams_dagster.policy.checkpoint import Checkpoint, divide
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import TRAINED, Contender, baseline_contenders
from teams_dagster.policy.comparison.scores import HEADLINE
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.training import train

HERE = Path(__file__).parent
SCRATCH = ROOT / "benchmarks" / ".runs" / "language_model"
STEP = PPOConfig(learning_rate=1e-3, epochs=8)
"""How the adapter is moved."""
READ = LanguageModelReaderConfig(instruction_tokens=32, input_tokens=16)
"""What it is shown: little, so that a training takes minutes."""
ITERATIONS = 5
"""Of 32 episodes with at most 12 queries: 1,920 at most."""
SHOWN = (HEADLINE, f"{HEADLINE}_over_uniform", "return", "accepted_per_episode")
NETWORK_TRPO, NETWORK_PPO = "small network, TRPO", "small network, PPO"
TITLES = {TRAINED: "language model, PPO"}


@dataclass(frozen=True)
class Study:
    """What is trained and compared, and on which seeds."""

    client: Remembering
    train: Mapping[str, Instruction]
    held_out: Mapping[str, Instruction]
    base: str
    trainings: int
    folder: Path

    def configs(self) -> dict[str, TrainingConfig]:
        """By the names of the policies."""
        return {
            TRAINED: TrainingConfig(iterations=ITERATIONS, reader=READ, algorithm=STEP),
            NETWORK_TRPO: TrainingConfig(iterations=ITERATIONS),
            NETWORK_PPO: TrainingConfig(iterations=ITERATIONS, algorithm=PPOConfig()),
        }

    async def trained(self, name: str, config: TrainingConfig) -> list[Checkpoint]:
        """Trainings that differ in their random streams."""
        found = []
        for number in range(self.trainings):
            path = self.folder / f"{name.replace(' ', '-').replace(',', '')}-{number}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            began = time.process_time()
            numbered = config.model_copy(update={"root_seed": number})
            found.append(await train(self.client, self.train, numbered, path, base=self.base, progress=_print))
            _print(f"{name}, training {number}: {time.process_time() - began:.0f} s of processor time")
        return found

    async def compared(self, policies: Mapping[str, Sequence[Checkpoint]]) -> Comparison:
        """All of them and uniform, on seeds they never met."""
        contenders = [
            Contender(name, tuple(c.actor() for c in found), tuple(c.policy_version for c in found))
            for name, found in policies.items()
        ]
        environment = Environment(self.client, Pool(self.train.values()), RewardConfig(), Role.INSTRUCTOR)
        return await compare(
            environment,
            [*contenders, *baseline_contenders([])],
            self.held_out,
            ComparisonConfig(),
            trained_on=self.train,
            progress=lambda _: None,
        )


def _print(line: str) -> None:
    print(line, flush=True)


def cell(comparison: Comparison, policy: str, metric: str) -> str:
    """A figure with its 95% interval; empty where there is none."""
    found = {(score.policy, score.metric): score for score in comparison.scores}.get((policy, metric))
    return "" if found is None else f"{found.mean:.3f} ({found.ci_low:.3f} to {found.ci_high:.3f})"


def page(comparison: Comparison, policies: Mapping[str, Sequence[Checkpoint]], base: str, parameters: int) -> str:
    """The table, with what it rests on."""
    lines = [["Policy", "Queries a training", *SHOWN], ["---"] * (len(SHOWN) + 2)]
    for name, found in policies.items():
        asked = ", ".join(f"{sum(point.queries for point in checkpoint.curve):,}" for checkpoint in found)
        lines.append([TITLES.get(name, name), asked, *(cell(comparison, name, metric) for metric in SHOWN)])
    lines.append(["uniform", "", *(cell(comparison, "uniform", metric) for metric in SHOWN)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    over = cell(comparison, TRAINED, f"{HEADLINE}_minus_{NETWORK_TRPO}")
    return f"""# A language model as the operation policy

`python -m benchmarks.policy.language_model --trainings {len(policies[TRAINED])}`: the embedded rules rewrite and
review. Each training has {ITERATIONS} iterations of 32 episodes. Compared on held-out seeds with 95% intervals; with
one training they do not show how much trainings vary. The language model is {base} ({parameters:,} weights in its
adapter), trained by PPO with learning rate {STEP.learning_rate:g} and {STEP.epochs} passes, and reads
{READ.instruction_tokens} tokens of a text and {READ.input_tokens} of its input; the small networks are as they ship.

{table}

The language model less the small network by TRPO, in `{HEADLINE}`: {over}.
"""


async def measured(base: str, called: str, trainings: int, folder: Path) -> str:
    """Train and compare; the page."""
    seeds = load_seeds(shipped_seeds_path()).seeds
    train_side, held_out = divide(seeds, seed_clusters(seeds))
    study = Study(Remembering(), train_side, held_out, base, trainings, folder)
    policies = {name: await study.trained(name, config) for name, config in study.configs().items()}
    comparison = await study.compared(policies)
    parameters = sum(weight.size for weight in policies[TRAINED][0].policy.values())
    return page(comparison, policies, called, parameters)


def embedded_base() -> str:
    """The folder of the embedded student, pre-trained where it is not there yet."""
    from teams_dagster.student.base import build_embedded_base

    folder = SCRATCH / "base"
    if not (folder / "tokenizer.json").exists():
        build_embedded_base(folder, seed=0, progress=_print)
    return str(folder)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="", help="folder or hub id of the language model; default: embedded student")
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "LANGUAGE_MODEL.md")
    given = parser.parse_args()
    base, called = given.base or embedded_base(), given.base or "the embedded student"
    folder = SCRATCH / called.strip("/").replace("/", "-").replace(" ", "-")
    found = asyncio.run(measured(base, called, given.trainings, folder))
    given.output.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
