"""What an algorithm is, and which one a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from teams_dagster.policy.algorithms.aggrevated import AggreVaTeD
from teams_dagster.policy.algorithms.batch import Batch
from teams_dagster.policy.algorithms.config import (
    AggreVaTeDConfig,
    AlgorithmConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from teams_dagster.policy.algorithms.d2lols import D2LOLS
from teams_dagster.policy.algorithms.imitation import Imitation
from teams_dagster.policy.algorithms.learner import Learner
from teams_dagster.policy.algorithms.lols import LOLS
from teams_dagster.policy.algorithms.on_policy import OnPolicy
from teams_dagster.policy.algorithms.ppo_plus_plus import PPOPlusPlus
from teams_dagster.policy.algorithms.report import UpdateReport
from teams_dagster.policy.algorithms.roll_in import RollIn

__all__ = ["Algorithm", "UpdateReport", "algorithm_of"]


class Algorithm(Protocol):
    """Says who acts in each episode of an iteration, and learns from what came of it."""

    @property
    def asks_guide(self) -> bool:
        """Whether any episode may need the guide."""
        ...

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        """The plan of one episode of at most `horizon` steps. `draw(name)` is a uniform that belongs to the episode."""
        ...

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        """Move `learner` in place. Raises ValueError when a reward, value or loss is not finite."""
        ...


def algorithm_of(config: AlgorithmConfig, root_seed: int) -> Algorithm:
    """The algorithm that `config` describes; its random draws are keyed by `root_seed`."""
    match config:
        case TRPOConfig() | PPOConfig():
            return OnPolicy(config, root_seed)
        case PPOPlusPlusConfig():
            return PPOPlusPlus(config.beta, config.step, root_seed)
        case AggreVaTeDConfig():
            return AggreVaTeD(config.beta, config.form, config.step, root_seed)
        case LOLSConfig():
            return LOLS(*_phases(config, root_seed), config.tau, root_seed)
        case D2LOLSConfig():
            return D2LOLS(*_phases(config, root_seed), config.switch)
        case BCConfig() | DAggerConfig():
            return Imitation(config, root_seed)


def _phases(config: LOLSConfig | D2LOLSConfig, root_seed: int) -> tuple[PPOPlusPlus, AggreVaTeD]:
    return (
        PPOPlusPlus(config.beta_learner, config.step, root_seed),
        AggreVaTeD(config.beta_guide, config.form, config.step, root_seed),
    )
