"""One row of the table `evaluation_scores`."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.evaluation.statistics import Estimate

HELD_OUT, CHOICE = "heldout_loss", "response_choice"

AGAINST_LORA = "_vs_lora"
"""How the metrics end that are paired differences from `lora`."""

OWN_SIDE = "_uniform_arm"
"""How the tasks end that are asked of the held-out side of the uniform arm's dataset."""


@dataclass(frozen=True)
class Score:
    """A model's number on a task; the fields are the table's columns."""

    model: str
    """`base`, `lora`, `qlora`, `lora_uniform`, `rlgf`; or a baseline: `chance`, `shortest_answer`, `uniform_tokens`,
    `unigram`."""
    task: str
    metric: str
    value: float
    stderr: float | None
    """Clustered by seed; None for constants and where there are fewer than two seeds. Of a benchmark over questions."""
    n: int
    """Seeds; of a benchmark, questions."""
    model_version: str | None
    """None for baselines, which are no model."""
    dataset_version: str | None
    """None for benchmarks that ask nothing of the dataset."""


@dataclass(frozen=True)
class ModelVersions:
    """Which weights and which dataset the scores are of."""

    models: dict[str, str]
    dataset: str

    def score(self, model: str, task: str, metric: str, estimate: Estimate) -> Score:
        """The row for `estimate`."""
        version = self.models.get(model)
        return Score(model, task, metric, estimate.value, estimate.stderr, estimate.clusters, version, self.dataset)
