"""The peers: TRPO of sb3-contrib and PPO of stable-baselines3, their own `train()` on our batch."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3.common.policies as sb3_policies
import torch
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.policy.batches import CHOICES, DECAY, FEATURES, GAMMA, HIDDEN, STEPS, Rollouts
from benchmarks.policy.recipes import PPO_RECIPE, TRPO_RECIPE


class _Spaces(gymnasium.Env[np.ndarray, np.int64]):
    """Nothing but the spaces, which is what `train()` needs of an environment."""

    def __init__(self, dtype: type[np.floating[Any]]) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES,), dtype)
        self.action_space = gymnasium.spaces.Discrete(CHOICES)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """A state, since `_setup_learn` wants one."""
        return np.zeros(FEATURES), {}


def learner(algorithm: str, batch: Rollouts, *, double: bool) -> OnPolicyAlgorithm:
    """A model that is about to `train()` on `batch`; `double` makes it compute in float64."""
    dtype = np.float64 if double else np.float32
    if double:  # sb3 turns every observation into float32 first, which a float64 network refuses
        sb3_policies.preprocess_obs = lambda obs, *_, **__: obs  # pyright: ignore[reportPrivateImportUsage]
    warnings.filterwarnings("ignore", "You have specified a mini-batch size")  # the last one of a pass is smaller
    episodes = len(batch.actions)
    shared: dict[str, Any] = {
        "policy": "MlpPolicy",
        "env": DummyVecEnv([lambda: _Spaces(dtype)]),
        "n_steps": episodes * STEPS,
        "gamma": GAMMA,
        "gae_lambda": DECAY,
        "device": "cpu",
        "seed": 0,
        "policy_kwargs": {"net_arch": {"pi": list(HIDDEN), "vf": list(HIDDEN)}},
    }
    model = _trpo(shared) if algorithm == "trpo" else _ppo(shared)
    if double:
        model.policy.double()
    model._setup_learn(total_timesteps=episodes * STEPS)
    _fill(model, batch, dtype)
    return model


def _trpo(shared: dict[str, Any]) -> TRPO:
    r = TRPO_RECIPE
    return TRPO(
        **shared,
        learning_rate=r.learning_rate,
        batch_size=r.minibatch,
        n_critic_updates=r.epochs,
        cg_max_steps=r.cg_iterations,
        cg_damping=r.damping,
        target_kl=r.max_kl,
        line_search_shrinking_factor=r.shrink,
        line_search_max_iter=r.backtracks,
    )


def _ppo(shared: dict[str, Any]) -> PPO:
    r = PPO_RECIPE
    return PPO(
        **shared,
        learning_rate=r.learning_rate,
        batch_size=r.minibatch,
        n_epochs=r.epochs,
        clip_range=r.clip,
        max_grad_norm=r.max_gradient_norm,
    )


def _fill(model: OnPolicyAlgorithm, batch: Rollouts, dtype: type[np.floating[Any]]) -> None:
    """Put `batch` into the model's buffer as its own rollouts would: with values, log-probabilities and advantages."""
    buffer, rows = model.rollout_buffer, batch.actions.size
    buffer.observations = batch.features.astype(dtype).reshape(rows, 1, FEATURES)
    buffer.actions = batch.actions.reshape(rows, 1, 1)
    with torch.no_grad():
        states = torch.from_numpy(buffer.observations[:, 0])
        actions = torch.from_numpy(batch.actions.reshape(rows))
        values, log_probabilities, _ = model.policy.evaluate_actions(states, actions)
    buffer.values = values.numpy().reshape(rows, 1)
    buffer.log_probs = log_probabilities.numpy().reshape(rows, 1)
    buffer.rewards = batch.rewards.astype(dtype).reshape(rows, 1)
    buffer.advantages = np.zeros((rows, 1), dtype)
    starts = np.zeros((rows, 1), dtype)
    starts[::STEPS] = 1.0
    buffer.episode_starts = starts
    buffer.pos, buffer.full = rows, True
    buffer.compute_returns_and_advantage(torch.zeros(1, dtype=states.dtype), np.ones(1))
