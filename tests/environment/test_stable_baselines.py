"""A learner that others wrote, trained in the decision process."""

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.environment.gymnasium import InstructionEnv, Task
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.stable_baselines import InstructionVecEnv
from teams_dagster.environment.state import HORIZON
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds

OPERATIONS = tuple(Operation)
DEEPENING = OPERATIONS.index(Operation.DEEPENING)
SMALL = {"n_steps": 24, "batch_size": 96, "seed": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def _one_thread():
    """Tensors this small are slower on several threads than on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def observe(state):
    """Which topic the text is about, and the step."""
    return np.array([*(float(topic in state.instruction.text) for topic in TOPICS), state.step / HORIZON])


def task(world, **changes):
    return Task(
        **{"environment": environment(world), "seeds": topical_seeds(12), "observe": observe, "size": 4} | changes
    )


@pytest.mark.slow
def test_ppo_learns_which_operation_the_topic_takes():
    env = InstructionVecEnv(task(ToyWorld(topical)), 16)
    model = PPO("MlpPolicy", VecMonitor(env), n_epochs=8, learning_rate=3e-3, gamma=0.99, **SMALL)
    model.learn(5_000)
    env.close()
    unseen = InstructionEnv(task(ToyWorld(topical), seeds=topical_seeds(12, tag="other")))
    returns = []
    for number in range(12):
        observation, _ = unseen.reset(seed=number)
        done, total = False, 0.0
        while not done:
            action, _ = model.predict(observation)
            observation, reward, terminated, truncated, _ = unseen.step(int(action))
            done, total = terminated or truncated, total + float(reward)
        returns.append(total)
    unseen.close()
    price = RewardConfig().price
    chance, best = HORIZON * (1 / 6 - 2 * price), HORIZON * (1 - 2 * price)
    assert chance < 0 < best / 2 < np.mean(returns) <= best


def test_a_step_asks_all_episodes_at_once_and_an_end_is_told_as_stable_baselines_wants_it():
    doomed = topical_seeds(12)["seed-0003"].text
    world = ToyWorld(delay=0.02, fails=lambda request: request.intent.before.text.startswith(doomed))
    env = InstructionVecEnv(task(world), 8)
    env.seed(0)
    env.reset()
    hit = [info["seed_id"] == "seed-0003" for info in env.reset_infos]
    first_end = env.step(np.full(8, DEEPENING))[2]
    for _ in range(HORIZON - 2):
        env.step(np.full(8, DEEPENING))
    observations, rewards, done, infos = env.step(np.full(8, DEEPENING))
    env.close()
    assert world.most_in_flight == 8
    assert any(hit)
    assert first_end.tolist() == hit
    assert isinstance(observations, np.ndarray)
    assert (rewards.dtype, observations.shape) == (np.float32, (8, 4))
    for ended, observation, info in zip(done, observations, infos, strict=True):
        if ended and not info["TimeLimit.truncated"]:
            assert (info["terminal_observation"][-1], observation[-1]) == (1.0, 0.0)
    assert sum(ended and not info["TimeLimit.truncated"] for ended, info in zip(done, infos, strict=True)) > 0


def test_a_masked_learner_never_chooses_what_may_not_be_chosen():
    world = ToyWorld(topical)
    env = InstructionVecEnv(task(world, operations=TEXT_OPERATIONS), 4)
    MaskablePPO("MlpPolicy", env, n_epochs=1, **SMALL).learn(96)
    env.close()
    assert sum(world.asked.values()) == 2 * 96


def test_the_single_environment_is_taken_as_it_is():
    env = InstructionEnv(task(ToyWorld(topical)))
    PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=1, device="cpu").learn(32)
    env.close()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_first_observations(seed):
    env = InstructionVecEnv(task(ToyWorld()), 6)
    env.seed(seed)
    first = env.reset()
    env.seed(seed)
    assert (env.reset() == first).all()
    env.close()
