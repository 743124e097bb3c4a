"""A table instead of a network: a row for each step and what each operation last came to, and no text.

A cell is the mean discounted return from there on (every-visit Monte Carlo control, Sutton and Barto 2018, chapter 5).
Operations are drawn by the softmax of a row over a temperature that falls while it learns; the last one stays, so that
the table samples in a comparison as the trained policy does. A row that was seldom met leans on the mean row of its
step.
"""

from __future__ import annotations

import numpy as np

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.environment.state import Episode, State
from teams_dagster.policy.searched.trial import Trial

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
