"""What a token-level training in a process of its own is asked for. Reading it imports no torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from teams_dagster.core.protocol import Role
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.task import Task
from teams_dagster.student.adapter_config import ProcessRequest

SCRIPT = "teams_dagster.rlgf.training_script"
LESS_MEMORY = (
    "Less memory takes: a smaller at_once (the same but for noise), a smaller max_new_tokens, or an algorithm without a"
    " critic (grpo, rloo)"
)
OWN_ANSWERS = "start_answers.json"
"""By prompt, what the model before the training answers: the judge compares with it."""


class RLGFRequest(ProcessRequest):
    """A training that goes on from a fine-tuned student: what is trained goes to `model/`, its report beside it."""

    base: str = Field(description="Folder or hub id of the student before any training.")
    adapter: Path = Field(description="Folder of the adapter that the training starts from.")
    start: str = Field(description="What names base and adapter: a checkpoint of others is not gone on from.")
    task: Task | DatasetPrompts = Field(description="What is learnt: a task, or where its prompts are drawn from.")
    config: RLGFConfig = Field(description="How it is learnt.")
    guide: str | None = Field(default=None, description="Which model guides; None: the one before the training.")
    judge: str | None = Field(default=None, description="Which model judges the answers; None: the task's own reward.")
    address: Path | None = Field(default=None, description="Socket at which guide and judge are asked; None: neither.")

    @property
    def roles(self) -> list[Role]:
        """Who is asked."""
        return [role for role, name in ((Role.GUIDE, self.guide), (Role.JUDGE, self.judge)) if name is not None]
