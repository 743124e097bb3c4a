"""One batch of rollouts and its update, in process against an instant model: what is left is our own work.

Run as a process of its own, `python -m benchmarks.policy.growth`; its figures are the last line of stdout, as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.policy.process import Cost, cost_of
from benchmarks.policy.world import InstantModel, seeds
from teams_dagster.environment.state import Episode
from teams_dagster.llm import loop
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train

SEEDS = 1_024
"""Of every training, whatever its episodes: what an edit is compared with does not grow with the batch."""

WARM_UP_EPISODES = 32


@dataclass(frozen=True)
class GrowthFigures:
    """A batch and its update."""

    episodes: int
    transitions: int
    rollout_cpu_s: float
    update_cpu_s: float
    total: Cost


def measure(episodes: int) -> GrowthFigures:
    """Train for one update on `episodes`. A small training before it imports and compiles what is needed."""
    began, rolled_out, transitions = 0.0, 0.0, 0

    def batch_done(_: int, done: Sequence[Episode]) -> None:
        nonlocal rolled_out, transitions
        rolled_out, transitions = time.process_time(), sum(len(episode.transitions) for episode in done)

    with TemporaryDirectory() as folder:

        def work(count: int) -> None:
            config = TrainingConfig(iterations=1, episodes_per_iteration=count, allow_none=False)
            path = Path(folder, f"{time.monotonic_ns()}.safetensors")
            loop.run(train(InstantModel(), started_with, config, path, sink=batch_done))

        started_with = seeds(SEEDS)
        work(WARM_UP_EPISODES)
        began = time.process_time()
        total = cost_of(lambda: work(episodes))
    rollout_cpu_s = rolled_out - began
    return GrowthFigures(episodes, transitions, rollout_cpu_s, total.cpu_s - rollout_cpu_s, total)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, required=True, help="at least 32")
    print(json.dumps(asdict(measure(parser.parse_args().episodes))), flush=True)


if __name__ == "__main__":
    main()
