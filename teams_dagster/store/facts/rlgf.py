"""Facts of a token-level training, and of its scores."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from teams_dagster.core.metadata import Table
from teams_dagster.core.text import NANO, NOT_A_NUMBER, number
from teams_dagster.store.facts.base import Hidden, QueryFacts, Shown
from teams_dagster.store.facts.evaluation import JudgeModel


class TextMetrics(BaseModel):
    """Of texts that a policy wrote after evaluation prompts: the fields of `teams_dagster.rlgf.report.Metrics`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reward: float
    perplexity: float
    distinct_1: float
    distinct_2: float
    length: float
    ended: float
    kl: float


class RLGFFacts(QueryFacts):
    """Facts of `rlgf_model`."""

    algorithm: str
    task: str
    guide: str
    """Which model guided: `start`, the one before the training; the role's; or `none`."""
    judge: str | None = None
    """Which model's preference was the reward; None where the task has a reward of its own."""
    iterations: int
    learner_tokens: int
    """Tokens that the learner wrote to learn from."""
    guide_tokens: int
    """The same of the guide."""
    guide_queries: int = 0
    """Different requests that guide texts came from, those of earlier runs included."""
    judge_queries: int = 0
    """The same of verdicts that made rewards."""
    requests: Annotated[str, Hidden()] = ""
    """Hash of the ids of all of them, which are in the artefact's `asked.txt`; empty where there are none."""
    cost_nano_usd: int | None = 0
    """What they cost; None where a price is not known."""
    before: Annotated[TextMetrics, Hidden()]
    after: Annotated[TextMetrics, Hidden()]
    settings: dict[str, Any]
    """An `RLGFConfig`."""


class StageScores(BaseModel):
    """A row of the comparison: a model after one more stage, and what all stages up to it asked and cost."""

    model_config = ConfigDict(frozen=True)

    stage: str
    """`base`, `fine-tuning`, or `fine-tuning + ` with the algorithm."""
    model_version: str
    heldout_loss: float
    """Nats a token."""
    choice_accuracy: float
    against_base: float | None = None
    """Share of judged pairs that it won; None of the base."""
    against_lora: float | None = None
    """The same against the adapter before; None of others than what it became."""
    queries: int
    cost_nano_usd: int | None
    """None where a price is not known."""

    @property
    def algorithm(self) -> str:
        """Of the last stage, where that is a token-level training."""
        return self.stage.rpartition(" + ")[2]


def stages_table(stages: list[StageScores]) -> Table:
    """The comparison as people read it."""
    columns = ("held-out loss", "response choice", "won of base", "won of fine-tuning", "queries", "US dollars")
    rows = [
        (
            each.stage,
            number(each.heldout_loss, 4),
            *(number(value) for value in (each.choice_accuracy, each.against_base, each.against_lora)),
            number(each.queries),
            NOT_A_NUMBER if each.cost_nano_usd is None else number(each.cost_nano_usd / NANO, 4),
        )
        for each in stages
    ]
    return Table(("model", *columns), rows)


class RLGFScoreFacts(QueryFacts):
    """Facts of `rlgf_scores`."""

    judge: Annotated[JudgeModel, Shown(form=str)]
    questions: int
    """Held-out instructions that every model answered."""
    too_long: int
    """Held-out instructions left out of the judging: their prompt leaves no room for an answer."""
    stages: Annotated[list[StageScores], Shown("comparison", form=stages_table)]
