"""A bandit at each step: which operation pays best there on average (UCB1, Auer et al. 2002).

An arm is an operation at a step, its pay the reward of the transition. The text, what was tried and what follows do
not count. A batch's choices are made before it is played: each takes the arm with the largest mean plus bonus, where a
choice of the same batch already counts as a visit, so that they spread as they would one at a time. Afterwards the arm
with the largest mean is played at each step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import HORIZON, State
from teams_dagster.policy.searched.open_loop import OpenLoop
from teams_dagster.policy.searched.trial import Trial

EXPLORATION = 0.3
"""Weight of the bonus sqrt(2 ln n / visits). UCB1's is 1, for pays that span 1, as they do under `graded` (-0.2 to 0.8)
and `paper` (0 to 1). With less, fewer visits go to what paid badly, and UCB1's bound on the regret is not claimed."""


class Arms:
    """Visits and mean pay of each operation at each step: arrays of shape (steps, operations)."""

    def __init__(self, allowed: tuple[Operation, ...]) -> None:
        self._allowed = allowed
        self.visits, self._pay = np.zeros((HORIZON, len(allowed))), np.zeros((HORIZON, len(allowed)))

    def pay(self, step: int, operation: Operation, reward: float) -> None:
        """Count one visit."""
        arm = self._allowed.index(operation)
        self.visits[step, arm] += 1
        self._pay[step, arm] += reward

    @property
    def means(self) -> np.ndarray:
        """Mean pay; 0 of an arm that was never played."""
        return self._pay / np.maximum(1, self.visits)

    def choices(self, count: int) -> list[tuple[Operation, ...]]:
        """The operations of `count` episodes, by the upper confidence bounds."""
        visits, means = self.visits.copy(), self.means
        chosen: list[tuple[Operation, ...]] = []
        for _ in range(count):
            arms = [_upper(means[step], visits[step]) for step in range(HORIZON)]
            visits[range(HORIZON), arms] += 1
            chosen.append(tuple(self._allowed[arm] for arm in arms))
        return chosen

    def best(self) -> tuple[Operation, ...]:
        """The operation with the largest mean at each step, of those that were played."""
        means = np.where(self.visits > 0, self.means, -math.inf)
        return tuple(self._allowed[int(arm)] for arm in means.argmax(axis=1))


def _upper(means: np.ndarray, visits: np.ndarray) -> int:
    """The arm with the largest bound; one that was never played comes first."""
    if (unseen := np.flatnonzero(visits == 0)).size:
        return int(unseen[0])
    return int((means + EXPLORATION * np.sqrt(2 * math.log(visits.sum()) / visits)).argmax())


class _Planned:
    """Plays what was planned for each seed: a batch has each of its seeds once, or with an episode's number."""

    def __init__(self, operations: Mapping[str, tuple[Operation, ...]]) -> None:
        self._operations = operations

    def probabilities(self, state: State) -> np.ndarray:
        planned = self._operations[state.stream][state.step]
        return np.array([operation is planned for operation in Operation], dtype=np.float64)


async def search_bandit(trial: Trial) -> OpenLoop:
    """What the bandit plays at each step when the queries of `trial` are spent."""
    arms = Arms(trial.allowed)
    while trial.left:
        plans = trial.plans()
        planned = {plan.key.stream: chosen for plan, chosen in zip(plans, arms.choices(len(plans)), strict=True)}
        for episode in await trial.play(_Planned(planned), plans):
            for transition in episode.transitions:
                if isinstance(transition.operation, Operation):
                    arms.pay(transition.step, transition.operation, transition.reward)
    return OpenLoop(arms.best())
