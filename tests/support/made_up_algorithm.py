"""An algorithm that the project does not ship: what its test plugs in, and what a person who adds one would write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from teams_dagster.policy.algorithms.base import AdamSettings, BaseAlgorithmConfig, CriticName
from teams_dagster.policy.algorithms.batch import RollIn, Who

if TYPE_CHECKING:
    from teams_dagster.policy.algorithms.batch import Batch
    from teams_dagster.policy.algorithms.learner import Learner
    from teams_dagster.policy.algorithms.report import UpdateReport


class ReinforceConfig(BaseAlgorithmConfig):
    """REINFORCE (Williams 1992): one Adam step up the log-likelihood of each choice, weighted by its return."""

    title: ClassVar[str] = "REINFORCE"

    name: Literal["made_up"] = "made_up"
    learning_rate: float = Field(default=1e-2, gt=0, description="Adam's step size.")
    adam_epsilon: float = Field(default=1e-8, gt=0, description="Added to the root of Adam's second moment.")

    @property
    def critics(self) -> tuple[CriticName, ...]:
        return ()

    @property
    def policy_optimiser(self) -> AdamSettings:
        return self

    def build(self, root_seed: int) -> Reinforce:
        return Reinforce()


class Reinforce:
    """The learner acts every step and learns every step."""

    def roll_in(self, iteration: int, horizon: int, draw: Callable[[str], float]) -> RollIn:
        return RollIn(Who.LEARNER, Who.LEARNER, switch=0)

    def update(self, learner: Learner, batch: Batch, iteration: int) -> UpdateReport:
        import torch

        from teams_dagster.policy.algorithms.minibatches import gradient_step, rows
        from teams_dagster.policy.algorithms.objectives import mean_entropy, mean_kl
        from teams_dagster.policy.algorithms.report import UpdateReport, UpdateStatus
        from teams_dagster.policy.estimators import discounted_returns

        final = torch.zeros_like(batch.rewards[:, 0])
        returns = rows(discounted_returns(batch.rewards, batch.valid, final, gamma=learner.gamma), batch.valid)
        features, actions = rows(batch.features, batch.valid), rows(batch.actions, batch.valid)
        old = learner.policy(features)
        likelihood = old.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        before = (likelihood * returns).mean()
        gradient_step(-before, learner.optimisers["policy"], max_norm=None)
        with torch.no_grad():
            new = learner.policy(features)
        after = (new.gather(-1, actions.unsqueeze(-1)).squeeze(-1) * returns).mean()
        return UpdateReport(
            status=UpdateStatus.MOVED,
            phase="made_up",
            policy_steps=len(features),
            critic_steps=0,
            entropy=float(mean_entropy(old.detach())),
            kl=float(mean_kl(old.detach(), new)),
            improvement=float(after - before.detach()),
            step_size=1.0,
        )
