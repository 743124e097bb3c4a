"""Everything that a token-level training changes: weights, value heads, optimisers and the weight of the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from teams_dagster.core.rng import generator
from teams_dagster.policy.algorithms.kl_reference import Steering, steered
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.models import POLICY, models_of
from teams_dagster.rlgf.scoring import (
    TokenScores,
    final_states,
    hidden_states,
    token_log_probabilities,
    token_scores,
)
from teams_dagster.rlgf.sequences import TextBatch
from teams_dagster.rlgf.step_config import DiscriminatorConfig, FitConfig, Schedule, TokenCriticConfig

DISCRIMINATOR = "discriminator"


class TokenLearner:
    """A language model that learns, with a critic for each value that its algorithm needs."""

    def __init__(self, base: Any, config: RLGFConfig) -> None:
        """A learner before its first update; `base`, a transformers causal language model, becomes part of it."""
        self.config = config
        fits: dict[str, TokenCriticConfig | DiscriminatorConfig] = dict.fromkeys(
            config.algorithm.critics, config.critic
        )
        if config.discriminator is not None:
            fits[DISCRIMINATOR] = config.discriminator
        seed = int(generator(config.root_seed, "rlgf weights").integers(2**31))
        self.models = models_of(base, [POLICY, *fits], config.weights, seed)
        self.heads = {name: _value_head(base) for name in fits}
        self.optimisers = {POLICY: _adamw(self.models.trained(POLICY), config.step)}
        for name, fit in fits.items():
            self.optimisers[name] = _adamw(self.models.trained(name), fit)
            head = {"params": list(self.heads[name].parameters()), "weight_decay": 0.0}
            self.optimisers[name].add_param_group({**head, "lr": fit.head_learning_rate})
        self._schedules: dict[str, Schedule] = {name: fit.schedule for name, fit in fits.items()}
        self._schedules[POLICY] = config.step.schedule
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["first_lr"] = group["lr"]
        self.kappa = config.kl_reference.weight if config.kl_reference else 0.0
        self.kl_memory: tuple[float, ...] = ()
        self._referred: tuple[TextBatch, torch.Tensor] | None = None
        self.memory: TextBatch | None = None
        """The texts that DAgger learns from; None before the first."""

    def begin(self, iteration: int) -> None:
        """Sets the step sizes of `iteration` by the schedules."""
        for name, optimiser in self.optimisers.items():
            share = _share(self._schedules[name], iteration, self.config.iterations)
            for group in optimiser.param_groups:
                group["lr"] = share * group["first_lr"]

    def steer(self, kl: float) -> None:
        """Steers kappa after a batch whose mean KL to the reference was `kl`, in nats."""
        if self.config.kl_reference is not None:
            steering = steered(Steering(self.kappa, self.kl_memory), kl, self.config.kl_reference)
            self.kappa, self.kl_memory = steering.kappa, steering.memory

    def policy_scores(self, batch: TextBatch, *, learn_entropies: bool = True) -> TokenScores:
        """Of the tokens of `batch`, by the policy; gradients where enabled, of entropies where `learn_entropies`."""
        with self.models.using(POLICY) as model:
            temperature = self.config.decoding.temperature
            return token_scores(model, batch, temperature=temperature, learn_entropies=learn_entropies)

    def policy_log_probabilities(self, batch: TextBatch) -> torch.Tensor:
        """The same without the entropies: (texts, tokens)."""
        with self.models.using(POLICY) as model:
            return token_log_probabilities(model, batch, temperature=self.config.decoding.temperature)

    def reference_log_probabilities(self, batch: TextBatch) -> torch.Tensor:
        """The same by the model before any training, without gradients."""
        with torch.no_grad(), self.models.reference() as model:
            return token_log_probabilities(model, batch, temperature=self.config.decoding.temperature)

    def reference_says(self, batch: TextBatch) -> torch.Tensor:
        """The same of all texts, float64. A batch that is asked about again, as reward, price and metrics do, is read
        once: nothing ever changes that model."""
        if self._referred is None or not self._referred[0].same_texts(batch):
            self._referred = (batch, self.in_parts(self.reference_log_probabilities, batch))
        return self._referred[1]

    def values(self, critic: str, batch: TextBatch) -> torch.Tensor:
        """V of the state before each token, (texts, tokens), float32; what stands beyond a text means nothing."""
        with self.models.using(critic) as model:
            values = self.heads[critic](hidden_states(model, batch).float()).squeeze(-1)
        return values.to(batch.ids.device)

    def guide_logits(self, batch: TextBatch) -> torch.Tensor:
        """The discriminator's log-odds that each text is the guide's: (texts,), float32."""
        with self.models.using(DISCRIMINATOR) as model:
            logits = self.heads[DISCRIMINATOR](final_states(model, batch).float()).squeeze(-1)
        return logits.to(batch.ids.device)

    def in_parts(self, compute: Callable[[TextBatch], torch.Tensor], batch: TextBatch) -> torch.Tensor:
        """`compute` of all texts, some `at_once`, without gradients, as float64."""
        with torch.no_grad():
            parts = [compute(batch.rows(index)).double() for index in parts_of(len(batch), self.config.at_once)]
        return torch.cat(parts)

    def state(self) -> dict[str, Any]:
        """All that training needs to go on bit for bit: tensors and numbers, not copied."""
        return {
            "weights": {name: self.models.trained(name) for name in self.optimisers},
            "heads": {name: head.state_dict() for name, head in self.heads.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "kappa": self.kappa,
            "kl_memory": self.kl_memory,
            "memory": None if self.memory is None else asdict(self.memory),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over `state`. Raises KeyError or RuntimeError when it is that of a learner of another shape."""
        with torch.no_grad():
            for name in self.optimisers:
                for key, parameter in self.models.trained(name).items():
                    parameter.copy_(state["weights"][name][key])
        for name, head in self.heads.items():
            head.load_state_dict(state["heads"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.kappa, self.kl_memory = state["kappa"], state["kl_memory"]
        self.memory = None if state["memory"] is None else TextBatch(**state["memory"]).cpu()


def parts_of(count: int, size: int) -> Sequence[torch.Tensor]:
    """The numbers below `count`, `size` at a time."""
    return torch.split(torch.arange(count), size)


def _value_head(base: Any) -> nn.Linear:
    """A linear layer that says 0 of everything at first."""
    head = nn.Linear(base.config.get_text_config().hidden_size, 1, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    return head.to(base.device)


def _adamw(weights: dict[str, nn.Parameter], config: FitConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in weights.values() if weight.ndim > 1]
    others = [weight for weight in weights.values() if weight.ndim <= 1]
    groups = [{"params": matrices}, *([{"params": others, "weight_decay": 0.0}] if others else [])]
    return torch.optim.AdamW(groups, lr=config.learning_rate, eps=config.adam_epsilon, weight_decay=config.weight_decay)


def _share(schedule: Schedule, iteration: int, iterations: int) -> float:
    return 1.0 if schedule == "constant" else 1 - iteration / iterations
