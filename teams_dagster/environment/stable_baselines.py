"""The decision process as a vector of stable-baselines3, whose vectors are not Gymnasium's.

Its own way of making one (`DummyVecEnv`) takes one environment's step after another; here the queries of all episodes
are asked at once. The process is that of `environment.gymnasium`. Needs stable-baselines3, which is not installed with
this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from teams_dagster.environment.gymnasium import action_space, observation_space
from teams_dagster.environment.vector import SideBySide, Task, reset_info, step_info


class InstructionVecEnv(VecEnv):
    """`num_envs` episodes side by side. The step that ends one begins the next, as stable-baselines3 wants it."""

    render_mode = None

    def __init__(self, task: Task, num_envs: int = 8) -> None:
        """Open the task's environment. Raises ValueError without a seed or an episode."""
        self._task = task
        self._episodes = SideBySide(task, num_envs)
        self._actions: Sequence[int] = ()
        super().__init__(  # pyright: ignore[reportUnknownMemberType] (gymnasium's spaces, as sb3 declares them)
            num_envs, observation_space(task), action_space()
        )

    def reset(self) -> np.ndarray:
        """Begin an episode in every place: observations of shape (num_envs, size). The seed is that of `seed`."""
        if (seed := self._seeds[0]) is not None:
            self._episodes.restart(seed)
        self._reset_seeds()
        self._reset_options()
        return np.stack([self._begin(slot) for slot in range(self.num_envs)])

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the operations' numbers, shape (num_envs,), for `step_wait`."""
        self._actions = [int(action) for action in actions]

    def step_wait(self) -> VecEnvStepReturn:  # pyright: ignore[reportUnknownParameterType] (sb3's own)
        """Apply them. Raises what `SideBySide.advance` raises."""
        taken = self._episodes.advance(dict(enumerate(self._actions)))
        observations: list[np.ndarray] = []
        infos: list[dict[str, Any]] = []
        for slot, step in sorted(taken.items()):
            observation, info = self._task.observation(step.state), step_info(self._task, step)
            if step.done:
                info |= {"terminal_observation": observation, "TimeLimit.truncated": step.truncated}
                observation = self._begin(slot)
            observations.append(observation)
            infos.append(info)
        rewards = np.array([taken[slot].transition.reward for slot in range(self.num_envs)], dtype=np.float32)
        return np.stack(observations), rewards, np.array([taken[slot].done for slot in range(self.num_envs)]), infos

    def action_masks(self) -> np.ndarray:
        """Which operations may be chosen: bool, shape (operations,), the same in every place (for sb3-contrib)."""
        return self._task.mask().astype(np.bool_)

    def close(self) -> None:
        """Close the task's environment, once the queries under way are answered."""
        self._episodes.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute, once for each place."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute, which all places share."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """What the method returns, once for each place."""
        return [getattr(self, method_name)(*args, **kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """False for each place: nothing is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _begin(self, slot: int) -> np.ndarray:
        state = self._episodes.begin(slot)
        self.reset_infos[slot] = reset_info(self._task, state)
        return self._task.observation(state)
