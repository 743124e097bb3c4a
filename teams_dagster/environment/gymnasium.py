"""The decision process as Gymnasium environments, so that learners from outside can be trained in it.

The process (state, transition and reward are those of `environment.transition`, nothing is added or changed):

- State: the current text (instruction and input), the operations tried so far with their outcomes, and the step. It is
  observed as the vector `Task.observe` makes of it; the text itself is in `info["state"]`.
- Actions: the operations in the order of `Operation`: breadth, add_constraints, deepening, concretizing,
  increase_reasoning_steps, complicate_input, and `none`, which keeps the text, asks nothing, earns and costs nothing.
  `info["action_mask"]` holds 1 for those that may be chosen; another one is a ValueError.
- Transition: the rewriter is asked for the edit. It is eliminated when it is refused, cut off, malformed, empty,
  meaningless, copies words of the prompt (`leaked_prompt_words`), speaks to the reviewer (`injection`), or is equal or
  near-equal to an earlier text of its chain (`returned`). Otherwise the reviewer is asked: Equal or Not Equal; a
  verdict that cannot be read is `unclear`.
  The edit is accepted when it is Not Equal. The chain goes on from an accepted edit and stays at the parent of another
  one; under the preset `paper` it goes on from every edit that was reviewed.
- Reward, preset `paper`: 1 for an accepted edit, else 0. Preset `graded`: accepted x min(1, d / d0) - price x queries,
  d = 1 - the largest similarity to an earlier text of the chain or to a frozen pool. Preset `dollars`: its price
  is that of the step's tokens in a generation. A step asks 0 queries (`none`), 1 (an eliminated edit) or 2; 3 where
  `both_orders` of the reward has each edit reviewed in both orders. Option `soft` of the reward takes the probability
  of Not Equal where the verdict is 0 or 1.
- End: `terminated` after `HORIZON` = 6 steps (the step is part of the state). `truncated` where a query failed for
  good: the reward is 0 and the observation that of the state before, whose value is to be bootstrapped. Errors that end
  everything (an exhausted budget) are raised; no episode has moved then, and what was paid is reused when the step is
  tried again.
- Nothing is discounted here: that is the learner's (this project's own default is 0.9).
- Each episode starts from a seed that is drawn by a stream keyed by root seed and episode number, whatever the answers
  and their order. `reset(seed=...)` sets the root seed and begins at episode 0; `reset()` begins the next episodes.

Queries cost money and seconds, so `InstructionVectorEnv` asks those of all its episodes at once. An environment lives
in an event loop of its own, in a thread; `close` waits for calls that are under way. An engine is made in that loop:

    @asynccontextmanager
    async def opened():
        bounds = Budgets(project=Budget(queries=40_000))
        engine = Engine({Role.INSTRUCTOR: model, Role.REVIEWER: model}, ledger, context, prices, budgets=bounds)
        try:
            yield Environment(engine, Pool(seeds.values()), RewardConfig(), Role.INSTRUCTOR)
        finally:
            await engine.close()

    task = Task(opened, seeds, observe=lambda state: np.array([state.step, len(state.instruction.text)]), size=2)

    envs = InstructionVectorEnv(task, num_envs=32)  # any learner that takes gymnasium.vector environments
    observations, infos = envs.reset(seed=0)

    from stable_baselines3 import PPO  # its vectors are its own; so is the face for them
    from teams_dagster.environment.stable_baselines import InstructionVecEnv

    PPO("MlpPolicy", InstructionVecEnv(task, num_envs=32), n_steps=48, gamma=0.9).learn(20_000)
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from teams_dagster.environment.vector import OPERATIONS, SideBySide, Taken, Task, reset_info, step_info

__all__ = ["InstructionEnv", "InstructionVectorEnv", "Task"]

Step = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]
"""Observations (n, size), rewards, terminated, truncated (n,), and what is told."""


def observation_space(task: Task) -> gym.spaces.Box:
    """Vectors of the task's size, float64, without bounds: what is observed is the user's."""
    return gym.spaces.Box(-np.inf, np.inf, (task.size,), np.float64)


def action_space() -> gym.spaces.Discrete:
    """The number of an operation."""
    return gym.spaces.Discrete(len(OPERATIONS))


class InstructionVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` episodes side by side. One that ends is followed by the next in its place.

    `metadata["autoreset_mode"]` says when. NEXT_STEP (Gymnasium's own default): the step after its end begins the next
    episode, whatever the action, with reward 0 and no query. SAME_STEP: the observation at the end of an episode is
    the first of the next, and the last one is in `infos["final_obs"]`, with `infos["final_info"]`.
    """

    def __init__(
        self, task: Task, num_envs: int = 8, *, autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP
    ) -> None:
        """Open the task's environment. Raises ValueError for the mode DISABLED, and without a seed or an episode."""
        if autoreset_mode is AutoresetMode.DISABLED:
            raise ValueError("episodes follow each other; choose AutoresetMode.NEXT_STEP or SAME_STEP")
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": autoreset_mode, "render_modes": []}
        self.single_observation_space = observation_space(task)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._task = task
        self._same_step = autoreset_mode is AutoresetMode.SAME_STEP
        self._episodes = SideBySide(task, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every place; what was under way is left. `options` has no meaning here."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._episodes.restart(seed)
        infos: dict[str, Any] = {}
        observations: list[np.ndarray] = []
        for slot in range(self.num_envs):
            observation, infos = self._begin(slot, infos)
            observations.append(observation)
        return np.stack(observations), infos

    def step(self, actions: np.ndarray) -> Step:
        """Apply the operation numbered `actions[i]` in each place i, shape (num_envs,).

        Raises ValueError for an operation that may not be chosen, and what is no episode's own trouble.
        """
        if np.shape(actions) != (self.num_envs,):
            raise ValueError(f"actions have the shape {np.shape(actions)}; one for each of {self.num_envs} is needed")
        playing = {slot: int(actions[slot]) for slot in range(self.num_envs) if not self._episodes.is_over(slot)}
        taken = self._episodes.advance(playing)
        rewards, ends = np.zeros(self.num_envs), np.zeros((2, self.num_envs), dtype=np.bool_)
        infos: dict[str, Any] = {}
        observations: list[np.ndarray] = []
        for slot in range(self.num_envs):
            step = taken.get(slot)
            if step is None:
                observation, infos = self._begin(slot, infos)
            else:
                rewards[slot], ends[:, slot] = step.transition.reward, (step.terminated, step.truncated)
                observation, infos = self._told(slot, step, infos)
            observations.append(observation)
        return np.stack(observations), rewards, ends[0], ends[1], infos

    def close_extras(self, **_: Any) -> None:
        """Close the task's environment, once the queries under way are answered."""
        self._episodes.close()

    def _begin(self, slot: int, infos: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        state = self._episodes.begin(slot)
        return self._task.observation(state), self._add_info(infos, reset_info(self._task, state), slot)

    def _told(self, slot: int, step: Taken, infos: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """The observation and the infos after a step, in the autoreset mode."""
        observation, info = self._task.observation(step.state), step_info(self._task, step)
        if not (step.done and self._same_step):
            return observation, self._add_info(infos, info, slot)
        return self._begin(slot, self._add_info(infos, {"final_obs": observation, "final_info": info}, slot))


class InstructionEnv(gym.Env[np.ndarray, np.int64]):
    """One episode at a time."""

    metadata = {"render_modes": []}  # noqa: RUF012 - as the base class has it

    def __init__(self, task: Task) -> None:
        """Open the task's environment. Raises ValueError without a seed."""
        self.observation_space = observation_space(task)
        self.action_space = action_space()
        self._task = task
        self._episodes = SideBySide(task)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; one that was under way is left. `options` has no meaning here."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._episodes.restart(seed)
        state = self._episodes.begin(0)
        return self._task.observation(state), reset_info(self._task, state)

    def step(self, action: np.int64 | int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply the operation numbered `action`: observation, reward, terminated, truncated, what is told.

        Raises ResetNeeded after the end of an episode, and ValueError for an operation that may not be chosen.
        """
        if self._episodes.is_over(0):
            raise ResetNeeded("the episode is over; call `reset` first")
        taken = self._episodes.advance({0: int(action)})[0]
        told = step_info(self._task, taken)
        return self._task.observation(taken.state), taken.transition.reward, taken.terminated, taken.truncated, told

    def action_masks(self) -> np.ndarray:
        """Which operations may be chosen: bool, shape (operations,). Under the name that sb3-contrib looks for."""
        return self._task.mask().astype(np.bool_)

    def close(self) -> None:
        """Close the task's environment, once the queries under way are answered."""
        self._episodes.close()
