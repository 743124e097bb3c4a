"""The searches, by the names of the policies they find: the best sequence of operations, a bandit and a table.

- `search_open_loop` builds its sequence step by step: from where it has led so far, every operation is tried on the
  same seeds, and the one with the largest reward stays. Then one step after another is tried anew, the others staying,
  on fresh seeds each time, until no step changes or the queries do not last for another.
- `search_bandit` finds at each step which operation pays best there on average (UCB1, Auer et al. 2002). An arm is an
  operation at a step, its pay the reward of the transition. A batch's choices are made before it is played: each takes
  the arm with the largest mean plus bonus, where a choice of the same batch already counts as a visit, so that they
  spread as they would one at a time. Afterwards the arm with the largest mean is played at each step.
- `search_table` learns a row for each step and what each operation last came to, and no text. A cell is the mean
  discounted return from there on (every-visit Monte Carlo control, Sutton and Barto 2018, chapter 5). Operations are
  drawn by the softmax of a row over a temperature that falls while it learns; the last one stays, so that the table
  samples in a comparison as the trained policy does. A row that was seldom met leans on the mean row of its step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.episodes import EpisodePlan
from teams_dagster.environment.state import HORIZON, Episode, State
from teams_dagster.policy.baselines import BANDIT, OPEN_LOOP, TABLE, baseline_version
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


FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.5, 0.1
"""In units of an accepted edit."""

LEANING = 2.0
"""How many visits the step's mean row counts for."""

UNKNOWN = 1.0
"""What a cell is thought to be worth before any visit: one accepted edit, so that each is tried."""

Row = tuple[int, tuple[tuple[str, bool], ...]]

_INDEX: dict[Rewriting, int] = {operation: index for index, operation in enumerate(Operation)}


def row_of(state: State) -> Row:
    """The step, and for each operation tried so far whether its last edit was accepted."""
    last = {past.operation.value: past.accepted for past in state.past}
    return state.step, tuple(sorted(last.items()))


class Table:
    """Mean returns by row and operation."""

    def __init__(self, allowed: tuple[Operation, ...]) -> None:
        self._allowed = np.array([operation in allowed for operation in Operation])
        self._cells: dict[Row | int, np.ndarray] = {}
        self.temperature = FIRST_TEMPERATURE

    @property
    def version(self) -> str:
        """Content hash of every cell, of what may be chosen, and of the temperature."""
        cells = sorted((repr(row), cell.tolist()) for row, cell in self._cells.items())
        return content_hash("table", cells, self._allowed.tolist(), self.temperature)

    def __str__(self) -> str:
        """How large it is."""
        return f"{sum(not isinstance(row, int) for row in self._cells)} rows"

    def values(self, state: State) -> np.ndarray:
        """What each operation is worth at `state`: shape (operations,)."""
        visits, total = self._cell(state.step)
        of_step = (total + UNKNOWN) / (visits + 1)
        visits, total = self._cell(row_of(state))
        return (total + LEANING * of_step) / (visits + LEANING)

    def probabilities(self, state: State) -> np.ndarray:
        """Softmax of the row over the temperature."""
        scaled = np.where(self._allowed, self.values(state) / self.temperature, -np.inf)
        odds = np.exp(scaled - scaled.max())
        return odds / odds.sum()

    def learn(self, episode: Episode, gamma: float) -> None:
        """Count the discounted return from every step of `episode` on."""
        worth = 0.0
        for state, transition in reversed(list(zip(episode.states, episode.transitions, strict=False))):
            worth = transition.reward + gamma * worth
            for row in (row_of(state), state.step):
                cell = self._cells.setdefault(row, np.zeros((2, len(Operation))))
                cell[:, _INDEX[transition.operation]] += (1.0, worth)

    def _cell(self, row: Row | int) -> np.ndarray:
        """Visits and summed returns: shape (2, operations)."""
        return self._cells.get(row, np.zeros((2, len(Operation))))


async def search_table(trial: Trial) -> Table:
    """The table when the queries of `trial` are spent."""
    table = Table(trial.allowed)
    while trial.left:
        spent = min(1.0, trial.asked / trial.queries)
        table.temperature = FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** spent
        for episode in await trial.play(table, trial.plans()):
            table.learn(episode, trial.gamma)
    table.temperature = LAST_TEMPERATURE
    return table


class Searched(Actor, Protocol):
    """A policy that was found by a search."""

    @property
    def version(self) -> str:
        """Content hash of what was found."""
        ...


SEARCHES: dict[str, Callable[[Trial], Coroutine[Any, Any, Searched]]] = {
    OPEN_LOOP: search_open_loop,
    BANDIT: search_bandit,
    TABLE: search_table,
}


def searched_version(name: str, root_seed: int, found: Searched) -> str:
    """The policy version that its transitions carry: of the search, its random streams, and what it found."""
    return content_hash(baseline_version(name), root_seed, found.version)


def never_draws(found: Searched) -> bool:
    """Whether all episodes of what was found are alike from one seed (the answers being the same)."""
    return isinstance(found, OpenLoop)
