"""One policy update, ours or a peer's.

Run as a process of its own, `python -m benchmarks.policy.update`; its figures are the last line of stdout, as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

import torch

from benchmarks.policy.batches import STEPS, rollouts
from benchmarks.policy.process import Cost, cost_of

OURS, OURS_OWN_CRITIC = "ours", "ours-lbfgs"
PEER, PEER_DOUBLE, PEER_THREADS = "sb3", "sb3-float64", "sb3-threads"

SIDES = (OURS, OURS_OWN_CRITIC, PEER, PEER_DOUBLE, PEER_THREADS)
"""All on one thread, as our training is, but for the last, which has as many as torch takes."""

ALGORITHMS = ("trpo", "ppo")


def measure(side: str, algorithm: str, transitions: int, repeats: int) -> list[Cost]:
    """The same update `repeats` times, each of a new learner, after a small one that imports what is needed."""
    if side != PEER_THREADS:
        torch.set_num_threads(1)
    _prepared(side, algorithm, 10 * STEPS)()
    return [cost_of(_prepared(side, algorithm, transitions)) for _ in range(repeats)]


def _prepared(side: str, algorithm: str, transitions: int) -> Callable[[], object]:
    """The update, with all that is made before its clock starts."""
    batch = rollouts(transitions)
    if side not in (OURS, OURS_OWN_CRITIC):
        from benchmarks.policy import sb3

        return sb3.learner(algorithm, batch, double=side == PEER_DOUBLE).train
    from benchmarks.policy import ours
    from teams_dagster.policy.algorithms.algorithm import algorithm_of

    learner, tensors = ours.learner(algorithm, own_critic=side == OURS_OWN_CRITIC), ours.tensors(batch)
    updating = algorithm_of(ours.algorithm_config(algorithm), root_seed=0)
    return lambda: updating.update(learner, tensors, 0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--algorithm", choices=ALGORITHMS, required=True)
    parser.add_argument("--transitions", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    costs = measure(asked.side, asked.algorithm, asked.transitions, asked.repeats)
    print(json.dumps([asdict(cost) for cost in costs]), flush=True)


if __name__ == "__main__":
    main()
