"""Run configuration of group `rlgf`: the method's own settings, as the Launchpad shows them."""

from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field, ValidationError

from assets.materialize import AssetConfig
from assets.models.config import SettingsRefused
from assets.run_config import one_of, run_config
from teams_dagster.core.protocol import Role
from teams_dagster.policy.algorithms.controller_config import CONTROLLERS, AdaptiveControllerConfig
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.dataset_task import DATASET_ANSWERS, DatasetPrompts
from teams_dagster.rlgf.task import Task, load_task

_RLGF: Any = run_config(RLGFConfig)


class TokenKLReference(dg.Config):
    """A price on leaving the model before the training."""

    weight: float = Field(default=0.01, ge=0, description="kappa, at the beginning; 0: no such price.")
    target: float | None = Field(default=None, gt=0, description="Mean KL that kappa is steered to; none: kappa stays.")
    controller: one_of(CONTROLLERS) = Field(  # pyright: ignore[reportInvalidTypeForm] (made from the list)
        default=run_config(AdaptiveControllerConfig)(),
        discriminator="name",
        description="How kappa is steered to the target.",
    )


class RLGFSettings(AssetConfig, _RLGF):
    """How a language model is trained token by token."""

    task: str = Field(
        default="positive_continuation",
        description=f"What is learnt: a task of the package by name, the path of a task file, or {DATASET_ANSWERS}, to"
        " answer the dataset's instructions so that the judge prefers the answer to that of lora_model.",
    )
    prompts: int = Field(
        default=256, ge=1, description=f"{DATASET_ANSWERS}: instructions of the training side, at most."
    )
    evaluation_prompts: int = Field(
        default=32, ge=1, description=f"{DATASET_ANSWERS}: instructions of the held-out side, at most."
    )
    guide: Literal["start", "role"] = Field(
        default="start",
        description="Who guides, where the algorithm has a guide: `start`, the model before the training; `role`, the"
        " model of the role GUIDE.",
    )
    kl_reference: TokenKLReference = TokenKLReference()

    def training(self) -> RLGFConfig:
        """The training's own settings. Raises SettingsRefused where they do not fit each other."""
        price = self.kl_reference
        if not price.weight and price.target:
            raise SettingsRefused("kl_reference has a target without a `weight`: give it one, or leave it out")
        given = self.model_dump(include={*_RLGF.model_fields})
        given["kl_reference"] = price.model_dump() if price.weight else None
        try:
            training = RLGFConfig.model_validate(given)
        except ValidationError as error:
            said = "; ".join(fault["msg"] for fault in error.errors())
            raise SettingsRefused(f"these settings do not fit each other: {said}") from None
        if self.guide == "role" and not training.algorithm.asks_guide:
            raise SettingsRefused(
                f"guide is role, and {training.algorithm.name} has no guide: leave `guide` out, or choose an algorithm"
                " that has one"
            )
        if training.most_queries is not None and not self.roles:
            raise SettingsRefused(
                f"most_queries is {training.most_queries}, and neither GUIDE nor JUDGE is asked: leave it out, or bound"
                " the training by most_tokens"
            )
        return training

    @property
    def deciding(self) -> dict[str, Any]:
        """What of this decides the model; what only the dataset's task reads is left out of another one's."""
        read = {"task", "guide", *(("prompts", "evaluation_prompts") if self.on_dataset else ())}
        training = self.training()
        verdicts = {"verdicts": "of a prompt's two texts"} if self.on_dataset and training.pairs else {}
        unset = {"most_queries"} if training.most_queries is None else set[str]()
        return training.model_dump(mode="json", exclude=unset) | self.model_dump(include=read) | verdicts

    @property
    def roles(self) -> list[Role]:
        """Who is asked."""
        asked = ((Role.GUIDE, self.guide == "role"), (Role.JUDGE, self.on_dataset))
        return [role for role, needed in asked if needed]

    @property
    def on_dataset(self) -> bool:
        """Whether the prompts are the dataset's, and the reward the judge's."""
        return self.task == DATASET_ANSWERS

    def task_on(self, train: Path, held_out: Path) -> Task | DatasetPrompts:
        """The task, or which instructions of the dataset's sides are its prompts. Raises ValueError for no task."""
        if not self.on_dataset:
            return load_task(self.task)
        return DatasetPrompts(
            train=train,
            held_out=held_out,
            prompts=self.prompts,
            evaluation_prompts=self.evaluation_prompts,
            seed=self.training().root_seed,
        )
