"""One update of ours and of stable-baselines3 / sb3-contrib from the same weights, batch and advantages, in float64.

Compared are the changes of the parameters, with our parameters set to their conventions. Their minibatches come in our
order; their conjugate gradients start from noise of 1e-4, which is what the tolerance of TRPO leaves room for.
"""

from itertools import chain

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.policies
import torch
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.config import AdamCriticConfig, PPOConfig, TRPOConfig
from teams_dagster.policy.algorithms.critic import fit_adam
from teams_dagster.policy.algorithms.minibatches import shuffled
from teams_dagster.policy.algorithms.objectives import sampled
from teams_dagster.policy.algorithms.ppo import ppo_step
from teams_dagster.policy.algorithms.report import UpdateStatus
from teams_dagster.policy.algorithms.trpo import trpo_step
from teams_dagster.policy.network import PolicyNetwork, ValueNetwork

STEPS, FEATURES, CHOICES, HIDDEN = 150, 9, 5, 12
RATE, MINIBATCH, EPOCHS = 3e-3, 64, 4
KEY = ("against sb3",)
POLICY = {"mlp_extractor.policy_net.0": 0, "action_net": 1}
VALUE = {"mlp_extractor.value_net.0": 0, "value_net": 1}


class Nowhere(gymnasium.Env):
    """Has the right spaces; is never stepped."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES,))
    action_space = gymnasium.spaces.Discrete(CHOICES)


class Both:
    """The same networks and the same batch, ours and theirs."""

    def __init__(self, monkeypatch, algorithm, seed, **options):
        stream = generator("against sb3", seed)
        self.features, self.gains = stream.normal(size=(STEPS, FEATURES)), stream.normal(size=STEPS)
        self.actions = stream.integers(0, CHOICES, size=STEPS)
        self.values, self.targets = stream.normal(0, 0.1, size=STEPS), stream.normal(size=STEPS)
        self.policy = PolicyNetwork(FEATURES, (HIDDEN,), np.ones(CHOICES, dtype=bool), ("policy", seed))
        self.critic = ValueNetwork(FEATURES, (HIDDEN,), ("critic", seed))
        for network in (self.policy, self.critic):
            head = network.layers[-1]
            assert isinstance(head, torch.nn.Linear)
            with torch.no_grad():
                head.weight.mul_(100)  # not near uniform, so that curvature matters
        self.start = self.policy.weights(), self.critic.weights()
        monkeypatch.setattr(stable_baselines3.common.policies, "preprocess_obs", lambda seen, *_, **__: seen)
        orders = chain([] if algorithm is PPO else [np.arange(STEPS)], map(_order, range(EPOCHS)))
        monkeypatch.setattr(np.random, "permutation", lambda count: next(orders))
        self.theirs = algorithm(
            "MlpPolicy",
            Nowhere(),
            n_steps=STEPS,
            batch_size=MINIBATCH,
            learning_rate=RATE,
            device="cpu",
            seed=0,
            policy_kwargs={"net_arch": {"pi": [HIDDEN], "vf": [HIDDEN]}},
            **options,
        )
        self.theirs.set_logger(configure(None, []))
        self.theirs.policy.double()
        self._hand_over()

    def _hand_over(self):
        theirs, buffer = self.theirs.policy.state_dict(), self.theirs.rollout_buffer
        for names, weights in zip((POLICY, VALUE), self.start, strict=True):
            for name, layer in names.items():
                for part in ("weight", "bias"):
                    theirs[f"{name}.{part}"].copy_(torch.from_numpy(weights[f"{layer}.{part}"]))
        buffer.observations, buffer.actions = self.features[:, None], self.actions[:, None, None].astype(float)
        buffer.advantages, buffer.returns = self.gains[:, None], self.targets[:, None]
        self.values = self.critic(torch.from_numpy(self.features)).detach().numpy() + self.values
        buffer.values, buffer.full = self.values[:, None], True
        with torch.no_grad():
            log_probabilities = self.policy(torch.from_numpy(self.features)).numpy()
        buffer.log_probs = np.take_along_axis(log_probabilities, self.actions[:, None], 1)

    def judge(self):
        return sampled(torch.from_numpy(self.actions), torch.from_numpy(self.gains))

    def distance(self, names, network, start):
        """|our change - their change| / |their change|."""
        theirs = self.theirs.policy.state_dict()
        ours, change = [], []
        for name, layer in names.items():
            for part in ("weight", "bias"):
                before = start[f"{layer}.{part}"]
                ours.append((network.weights()[f"{layer}.{part}"] - before).ravel())
                change.append((theirs[f"{name}.{part}"].numpy() - before).ravel())
        mine, other = np.concatenate(ours), np.concatenate(change)
        return np.linalg.norm(mine - other) / np.linalg.norm(other)

    def policys_distance(self):
        return self.distance(POLICY, self.policy, self.start[0])

    def critics_distance(self):
        return self.distance(VALUE, self.critic, self.start[1])

    def fit(self, **config):
        options = AdamCriticConfig(
            learning_rate=RATE, epochs=EPOCHS, minibatch=MINIBATCH, half=False, max_gradient_norm=None, **config
        )
        fit_adam(
            self.critic,
            _adam(self.critic),
            torch.from_numpy(self.features),
            torch.from_numpy(self.targets),
            torch.from_numpy(self.values),
            options,
            KEY,
        )


def _order(epoch):
    return shuffled(STEPS, (*KEY, epoch, "states")).numpy()


def _adam(network):
    return torch.optim.Adam(network.parameters(), lr=RATE, eps=1e-5, fused=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"entropy_weight": 0.05},
        {"max_gradient_norm": 0.1},
        {"clip": 0.02},
        {"normalise": "batch"},
    ],
    ids=str,
)
def test_ppos_policy_moves_as_sb3s(monkeypatch, seed, options):
    config = PPOConfig(
        **({"normalise": "minibatch", "max_gradient_norm": None} | options),
        learning_rate=RATE,
        epochs=EPOCHS,
        minibatch=MINIBATCH,
    )
    both = Both(
        monkeypatch,
        PPO,
        seed,
        n_epochs=EPOCHS,
        clip_range=config.clip,
        ent_coef=config.entropy_weight,
        vf_coef=0.0,
        max_grad_norm=config.max_gradient_norm or np.inf,
        normalize_advantage=config.normalise == "minibatch",
    )
    both.theirs.train()
    ppo_step(both.policy, _adam(both.policy), torch.from_numpy(both.features), both.judge(), None, config, KEY)
    assert both.policys_distance() < 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_ppo_stops_where_sb3_stops(monkeypatch, seed):
    both = Both(
        monkeypatch, PPO, seed, n_epochs=EPOCHS, target_kl=2e-4, vf_coef=0.0, max_grad_norm=np.inf, ent_coef=0.0
    )
    both.theirs.train()
    config = PPOConfig(
        learning_rate=RATE,
        epochs=EPOCHS,
        minibatch=MINIBATCH,
        target_kl=2e-4,
        normalise="minibatch",
        max_gradient_norm=None,
    )
    step = ppo_step(both.policy, _adam(both.policy), torch.from_numpy(both.features), both.judge(), None, config, KEY)
    assert step.status is UpdateStatus.STOPPED_EARLY
    assert both.policys_distance() < 1e-8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("value_clip", [None, 0.1])
def test_ppos_critic_moves_as_sb3s(monkeypatch, seed, value_clip):
    both = Both(monkeypatch, PPO, seed, n_epochs=EPOCHS, clip_range_vf=value_clip, vf_coef=1.0, max_grad_norm=np.inf)
    both.theirs.train()
    both.fit(value_clip=value_clip, clip_takes_max=False)
    assert both.critics_distance() < 1e-8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_kl", [1e-3, 0.01, 0.1])
def test_trpos_policy_moves_as_sb3_contribs(monkeypatch, seed, max_kl):
    both = Both(monkeypatch, TRPO, seed, target_kl=max_kl, n_critic_updates=EPOCHS, normalize_advantage=False)
    both.theirs.train()
    features = torch.from_numpy(both.features)
    config = TRPOConfig(max_kl=max_kl, cg_iterations=15, shrink=0.8, accept_ratio=0, line_search_kl="new_old")
    step = trpo_step(lambda: both.policy(features), list(both.policy.parameters()), both.judge(), config)
    assert step.status is UpdateStatus.MOVED
    assert both.policys_distance() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_trpos_critic_moves_as_sb3_contribs(monkeypatch, seed):
    both = Both(monkeypatch, TRPO, seed, n_critic_updates=EPOCHS, normalize_advantage=False)
    both.theirs.train()
    both.fit()
    assert both.critics_distance() < 1e-8
