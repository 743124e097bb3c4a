"""Everything that a token-level training changes: weights, value heads, optimisers and the weight of the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from teams_dagster.core.rng import generator
from teams_dagster.rlgf.config import RLGFConfig, Schedule, TokenCriticConfig, TokenStepConfig
from teams_dagster.rlgf.models import POLICY, models_of
from teams_dagster.rlgf.scoring import TokenScores, hidden_states, token_scores
from teams_dagster.rlgf.sequences import TextBatch


class TokenLearner:
    """A language model that learns, with a critic for each value that its algorithm needs."""

    def __init__(self, base: Any, config: RLGFConfig) -> None:
        """A learner before its first update; `base`, a transformers causal language model, becomes part of it."""
        self.config = config
        critics = config.algorithm.critics
        seed = int(generator(config.root_seed, "rlgf weights").integers(2**31))
        self.models = models_of(base, [POLICY, *critics], config.weights, seed)
        self.heads = {name: _value_head(base) for name in critics}
        self.optimisers = {POLICY: _adamw(self.models.trained(POLICY), config.step)}
        for name in critics:
            self.optimisers[name] = _adamw(self.models.trained(name), config.critic)
            head = {"params": list(self.heads[name].parameters()), "weight_decay": 0.0}
            self.optimisers[name].add_param_group({**head, "lr": config.critic.head_learning_rate})
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["first_lr"] = group["lr"]
        self.kappa = config.kl_reference.weight if config.kl_reference else 0.0

    def begin(self, iteration: int) -> None:
        """Sets the step sizes of `iteration` by the schedules."""
        for name, optimiser in self.optimisers.items():
            schedule = self.config.step.schedule if name == POLICY else self.config.critic.schedule
            share = _share(schedule, iteration, self.config.iterations)
            for group in optimiser.param_groups:
                group["lr"] = share * group["first_lr"]

    def policy_scores(self, batch: TextBatch) -> TokenScores:
        """Of the tokens of `batch`, by the policy; gradients where enabled."""
        with self.models.using(POLICY) as model:
            return token_scores(model, batch, temperature=self.config.decoding.temperature)

    def reference_scores(self, batch: TextBatch) -> TokenScores:
        """The same by the model before any training, without gradients."""
        with torch.no_grad(), self.models.reference() as model:
            return token_scores(model, batch, temperature=self.config.decoding.temperature)

    def values(self, critic: str, batch: TextBatch) -> torch.Tensor:
        """V of the state before each token, (texts, tokens), float32; what stands beyond a text means nothing."""
        with self.models.using(critic) as model:
            values = self.heads[critic](hidden_states(model, batch).float()).squeeze(-1)
        return values.to(batch.ids.device)

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
        self.kappa = state["kappa"]


def parts_of(count: int, size: int) -> Sequence[torch.Tensor]:
    """The numbers below `count`, `size` at a time."""
    return torch.arange(count).split(size)


def _value_head(base: Any) -> nn.Linear:
    """A linear layer that says 0 of everything at first."""
    head = cast(nn.Linear, nn.utils.skip_init(nn.Linear, base.config.get_text_config().hidden_size, 1))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    return head.to(base.device)


def _adamw(weights: dict[str, nn.Parameter], config: TokenStepConfig | TokenCriticConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in weights.values() if weight.ndim > 1]
    others = [weight for weight in weights.values() if weight.ndim <= 1]
    groups = [{"params": matrices}, *([{"params": others, "weight_decay": 0.0}] if others else [])]
    return torch.optim.AdamW(groups, lr=config.learning_rate, eps=config.adam_epsilon, weight_decay=config.weight_decay)


def _share(schedule: Schedule, iteration: int, iterations: int) -> float:
    return 1.0 if schedule == "constant" else 1 - iteration / iterations
