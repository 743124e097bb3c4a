"""Everything that training changes: the policy, its critics, their optimisers and the weight of the reference term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teams_dagster.policy.algorithms.base import LABELLED, AdamSettings, BaseAlgorithmConfig
from teams_dagster.policy.algorithms.config import AdamCriticConfig, CriticConfig, KLReferenceConfig
from teams_dagster.policy.algorithms.kl_reference import LogProbabilities, Steering, frozen, steered, uniform_reference
from teams_dagster.policy.algorithms.labelled import Labelled
from teams_dagster.policy.network import Network, PolicyNetwork, ValueNetwork, Weights

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Learner:
    """What an update moves in place, and the fixed values that every update needs."""

    policy: Network
    critics: dict[str, ValueNetwork]
    """`learner` (V of the policy) and `guide` (V of the guide), where the algorithm uses them."""
    optimisers: dict[str, torch.optim.Adam]
    """`policy` and the critics' names, where they are moved by Adam."""
    kappa: float
    """Weight of the reference term; 0 where there is none."""
    critic: CriticConfig
    kl: KLReferenceConfig | None
    reference: LogProbabilities
    """log pi_ref: features (..., features) to log-probabilities (..., choices)."""
    gamma: float
    """Discount of future reward."""
    decay: float
    """GAE's lambda."""
    kl_memory: tuple[float, ...] = ()
    """What the controller of `kappa` remembers."""
    labelled: Labelled | None = None
    """What imitation has learnt from so far; None where there is none."""

    @classmethod
    def new(
        cls,
        *,
        features: int,
        hidden: tuple[int, ...],
        allowed: np.ndarray,
        algorithm: BaseAlgorithmConfig,
        critic: CriticConfig,
        kl: KLReferenceConfig | None,
        gamma: float,
        decay: float,
        root_seed: int,
        reference: Weights | None = None,
        policy: Network | None = None,
    ) -> Learner:
        """A learner before its first update.

        `allowed` is a bool mask of shape (choices,). `reference` holds the weights of a frozen policy of the same shape
        as the learner's; None: uniform over the allowed choices. `policy` is what learns; None: a small network over
        the `features`.
        """
        policy = policy or PolicyNetwork(features, hidden, allowed, policy_key(root_seed))
        critics = {
            name: ValueNetwork(features, hidden, (root_seed, "weights", _STREAMS[name])) for name in algorithm.critics
        }
        optimisers: dict[str, torch.optim.Adam] = {}
        if (adam := algorithm.policy_optimiser) is not None:
            optimisers["policy"] = _adam(policy, adam)
        if isinstance(critic, AdamCriticConfig):
            optimisers |= {name: _adam(network, critic) for name, network in critics.items()}
        if reference is None:
            log_reference = uniform_reference(torch.as_tensor(allowed))
        else:
            network = PolicyNetwork(features, hidden, allowed, ("reference",))
            network.load(reference)
            log_reference = frozen(network)
        return cls(policy, critics, optimisers, kl.weight if kl else 0.0, critic, kl, log_reference, gamma, decay)

    def steer(self, kl: float) -> None:
        """Steers `kappa` after a batch whose mean KL to the reference was `kl`, in nats."""
        if self.kl is not None:
            steering = steered(Steering(self.kappa, self.kl_memory), kl, self.kl)
            self.kappa, self.kl_memory = steering.kappa, steering.memory

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that training needs to go on bit for bit; the reference policy is an input, not state."""
        state = {f"policy.{name}": value for name, value in self.policy.weights().items()}
        for critic, network in self.critics.items():
            state |= {f"critic.{critic}.{name}": value for name, value in network.weights().items()}
        for owner, optimiser in self.optimisers.items():
            for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
                for moment, value in optimiser.state[parameter].items():
                    state[f"adam.{owner}.{index}.{moment}"] = value.numpy().copy()
        if self.labelled is not None:
            state[f"{LABELLED}features"] = self.labelled.features.numpy().copy()
            state[f"{LABELLED}labels"] = self.labelled.labels.numpy().copy()
        if self.kl_memory:
            state["kl_memory"] = np.array(self.kl_memory)
        return state | {"kappa": np.array(self.kappa)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over `state`. Raises RuntimeError or KeyError when it is that of a learner of another shape."""
        self.policy.load(_part(state, "policy."))
        for critic, network in self.critics.items():
            network.load(_part(state, f"critic.{critic}."))
        for owner, optimiser in self.optimisers.items():
            optimiser.state.clear()
            moments = _part(state, f"adam.{owner}.")
            for index, parameter in enumerate(optimiser.param_groups[0]["params"] if moments else ()):
                optimiser.state[parameter] = {
                    moment: torch.as_tensor(moments[f"{index}.{moment}"].copy()) for moment in _MOMENTS
                }
        if data := _part(state, LABELLED):
            self.labelled = Labelled(torch.as_tensor(data["features"].copy()), torch.as_tensor(data["labels"].copy()))
        self.kappa = float(state["kappa"])
        self.kl_memory = tuple(state["kl_memory"].tolist()) if "kl_memory" in state else ()


_STREAMS = {"learner": "critic", "guide": "guide_critic"}
"""The random stream of each critic's first weights."""


def policy_key(root_seed: int) -> tuple[str | int, ...]:
    """The random stream of a policy's first weights."""
    return (root_seed, "weights", "policy")


def _adam(network: Network, config: AdamSettings) -> torch.optim.Adam:
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(learnt, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)


def _part(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
