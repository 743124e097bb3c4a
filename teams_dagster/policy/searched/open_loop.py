"""The best sequence of operations that never looks at what came of them.

It is built step by step: from where the sequence has led so far, every operation is tried on the same seeds, and the
one with the largest reward stays. Then one step after another is tried anew, the others staying, on fresh seeds each
time, until no step changes or the queries do not last for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import Operation
from teams_dagster.environment.episodes import EpisodePlan
from teams_dagster.environment.state import HORIZON, Episode, State
from teams_dagster.policy.searched.trial import BATCH, Trial


@dataclass(frozen=True)
class OpenLoop:
    """A sequence of operations, one a step."""

    operations: tuple[Operation, ...]

    def probabilities(self, state: State) -> np.ndarray:
        """1 for the operation of the step."""
        return np.array([operation is self.operations[state.step] for operation in Operation], dtype=np.float64)

    @property
    def version(self) -> str:
        """Content hash of the sequence."""
        return content_hash("open loop", [operation.value for operation in self.operations])

    def __str__(self) -> str:
        """The operations in their order."""
        return ", ".join(operation.value for operation in self.operations)


async def search_open_loop(trial: Trial) -> OpenLoop:
    """The best sequence found with the queries of `trial`: half of them at most build it."""
    count = max(1, min(BATCH, trial.queries // (2 * trial.queries_an_edit * len(trial.allowed) * HORIZON)))
    return OpenLoop(await _improved(trial, await _built(trial, count), count))


async def _built(trial: Trial, count: int) -> tuple[Operation, ...]:
    sequence: tuple[Operation, ...] = ()
    plans = trial.plans(count)
    for step in range(HORIZON):
        tried: dict[Operation, list[Episode]] = {}
        for operation in trial.allowed:
            branches = [_branch(plan, f"{step} {operation.value}", until=step + 1) for plan in plans]
            tried[operation] = await trial.play(OpenLoop((*sequence, operation)), branches)
        best = max(tried, key=lambda operation: sum(episode.total_reward for episode in tried[operation]))
        sequence = (*sequence, best)
        plans = [
            replace(plan, begin=episode.states[-1])
            for plan, episode in zip(_ordered(plans), tried[best], strict=True)
            if episode.failed is None
        ]
    return sequence


async def _improved(trial: Trial, sequence: tuple[Operation, ...], count: int) -> tuple[Operation, ...]:
    step, unchanged = 0, 0
    while unchanged < HORIZON and trial.left >= _cost(trial, step, count):
        best = await _best_at(trial, sequence, step, count)
        unchanged = unchanged + 1 if best is sequence[step] else 0
        sequence = (*sequence[:step], best, *sequence[step + 1 :])
        step = (step + 1) % HORIZON
    return sequence


def _cost(trial: Trial, step: int, count: int) -> int:
    """Queries that trying every operation at `step` takes at most: whole episodes, then the rest of each anew."""
    return count * trial.queries_an_edit * (HORIZON + (len(trial.allowed) - 1) * (HORIZON - step))


async def _best_at(trial: Trial, sequence: tuple[Operation, ...], step: int, count: int) -> Operation:
    plans = trial.plans(count)
    whole = await trial.play(OpenLoop(sequence), plans)
    reached = [
        replace(plan, begin=episode.states[step])
        for plan, episode in zip(_ordered(plans), whole, strict=True)
        if episode.failed is None
    ]
    gained = {sequence[step]: sum(t.reward for e in whole if e.failed is None for t in e.transitions[step:])}
    for operation in trial.allowed:
        if operation is not sequence[step]:
            changed = OpenLoop((*sequence[:step], operation, *sequence[step + 1 :]))
            branches = [_branch(plan, f"{step} {operation.value}") for plan in reached]
            gained[operation] = sum(episode.total_reward for episode in await trial.play(changed, branches))
    return max(gained, key=lambda operation: gained[operation])


def _branch(plan: EpisodePlan, name: str, until: int = HORIZON) -> EpisodePlan:
    return replace(plan, key=replace(plan.key, branch=name), until=until)


def _ordered(plans: Sequence[EpisodePlan]) -> list[EpisodePlan]:
    """In the order in which their episodes come back."""
    return sorted(plans, key=lambda plan: plan.key.order)
