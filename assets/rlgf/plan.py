"""What a token-level training would be made from, by its settings: the step and its estimate read the same."""

from __future__ import annotations

from dataclasses import dataclass

from assets.rlgf.config import RLGFSettings
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.stored import dataset_file
from teams_dagster.evaluation.judging import judge_prompt
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.task import Task
from teams_dagster.store.artefact_store import Artefact, ArtefactStore


@dataclass(frozen=True)
class PlannedTraining:
    """A training that has not begun."""

    base: Artefact
    lora: Artefact
    task: Task | DatasetPrompts
    training: RLGFConfig
    inputs: dict[str, str]
    """By name to version."""


def plan_training(config: RLGFSettings, store: ArtefactStore, models: LanguageModels) -> PlannedTraining:
    """The training of `config` on what is stored.

    Raises ArtefactMissing where there is no adapter or dataset, and what the settings are refused for.
    """
    lora, dataset = store.current("lora_model"), store.current("instruction_dataset")
    base = store.of_version("base_model", lora.manifest["inputs"]["base_model"])
    task = config.task_on(dataset_file(dataset, "train"), dataset_file(dataset, "held_out"))
    inputs = {"base_model": base.data_version, "lora_model": lora.data_version, **models.versions(*config.roles)}
    if isinstance(task, Task):
        inputs["task"] = task.version
    else:
        inputs |= {"instruction_dataset": dataset.data_version, "prompt of judge": judge_prompt().version}
    return PlannedTraining(base, lora, task, config.training(), inputs)
