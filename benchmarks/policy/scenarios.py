"""What is measured, each in a process of its own, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.policy.growth import GrowthFigures
from benchmarks.policy.process import Cost, in_new_process
from benchmarks.policy.rollouts import RolloutFigures
from benchmarks.policy.update import ALGORITHMS, OURS, OURS_OWN_CRITIC, PEER, PEER_DOUBLE, PEER_THREADS
from teams_dagster.policy.config import TrainingConfig


@dataclass(frozen=True)
class RolloutScenario:
    """A training against the loopback server."""

    name: str
    latencies_s: tuple[float, ...]
    episodes: int
    """Of a batch."""
    batches: int


@dataclass(frozen=True)
class UpdateScenario:
    """One side's update."""

    side: str
    algorithm: str
    transitions: int
    repeats: int


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    parallel: int
    rollouts: Sequence[RolloutScenario]
    updates: Sequence[UpdateScenario]
    growth: Sequence[int]
    """Episodes."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    scenario: str
    rollouts: RolloutFigures | None = None
    update: UpdateScenario | None = None
    costs: Sequence[Cost] = ()
    """Of an update's repeats."""
    growth: GrowthFigures | None = None


GOAL_SCENARIO = "250 ms a call"

DEFAULT_EPISODES = TrainingConfig().episodes_per_iteration

OWN_CRITIC_TRANSITIONS = 10_000
"""Largest batch of the updates with our own critic: what it costs beyond is seen in the growth, which uses it."""


def full_sizes() -> Sizes:
    """What the page shows: five minutes."""
    repeats = {1_000: 5, 10_000: 3, 100_000: 1}
    sides = {"trpo": (OURS, OURS_OWN_CRITIC, PEER, PEER_DOUBLE), "ppo": (OURS, PEER, PEER_DOUBLE)}
    updates = [
        UpdateScenario(side, algorithm, transitions, count)
        for algorithm in ALGORITHMS
        for transitions, count in repeats.items()
        for side in sides[algorithm]
        if side != OURS_OWN_CRITIC or transitions <= OWN_CRITIC_TRANSITIONS
    ]
    updates.append(UpdateScenario(PEER_THREADS, "trpo", max(repeats), 1))
    rollouts = (
        RolloutScenario(GOAL_SCENARIO, (0.25,), 256, 3),
        RolloutScenario("half of the calls 150 ms, half 350 ms", (0.15, 0.35), 256, 2),
        RolloutScenario("250 ms a call, the default batch", (0.25,), DEFAULT_EPISODES, 4),
    )
    return Sizes(64, rollouts, updates, (64, 256, 1_024, 4_096))


def tiny_sizes() -> Sizes:
    """Enough to see whether everything works."""
    updates = [UpdateScenario(side, "trpo", 120, 1) for side in (OURS, PEER)]
    rollouts = (RolloutScenario(GOAL_SCENARIO, (0.005, 0.015), 32, 2),)
    return Sizes(16, rollouts, [*updates, UpdateScenario(PEER_DOUBLE, "ppo", 120, 1)], (32, 64))


def everything(sizes: Sizes, scratch: Path) -> Iterator[Row]:
    """Run it all, one row at a time; ledgers are made in `scratch`."""
    for number, scenario in enumerate(sizes.rollouts):
        rollouts = in_new_process(
            RolloutFigures,
            "rollouts",
            latencies=scenario.latencies_s,
            parallel=sizes.parallel,
            episodes=scenario.episodes,
            batches=scenario.batches,
            folder=scratch / f"rollouts-{number}",
        )
        yield Row(scenario.name, rollouts=rollouts)
    for update in sizes.updates:
        costs = in_new_process(list[Cost], "update", **asdict(update))
        yield Row("update", update=update, costs=costs)
    for episodes in sizes.growth:
        yield Row("growth", growth=in_new_process(GrowthFigures, "growth", episodes=episodes))


def count(sizes: Sizes) -> int:
    """How many rows there will be."""
    return len(sizes.rollouts) + len(sizes.updates) + len(sizes.growth)
