"""Target regularisation: references of a task as texts, whose likelihood a policy keeps learning beside its reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.collecting import Prompt
from teams_dagster.rlgf.sequences import EndReason, Text
from teams_dagster.rlgf.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def targets(
    tokenizer: PreTrainedTokenizerBase, task: Task, prompts: Sequence[Prompt], end: int, limit: int
) -> dict[str, Text]:
    """By prompt its reference as a text of at most `limit` tokens, with the token `end` where it fits.

    Raises ValueError where a prompt has none.
    """
    found: dict[str, Text] = {}
    for prompt in prompts:
        reference = task.references.get(prompt.prompt_id)
        if not reference:
            raise ValueError(
                f"target_weight has references learnt, and prompt {prompt.prompt_id!r} of task {task.name} has none:"
                " give the task file a `reference` for each prompt, or leave target_weight at 0"
            )
        space = " " if task.asks == "continuation" and not prompt.prompt_id[-1].isspace() else ""
        whole = (*tokenizer(space + reference, add_special_tokens=False)["input_ids"], end)
        tokens = tuple(whole[:limit])
        reason = EndReason.ENDED if len(whole) <= limit else EndReason.LENGTH
        found[prompt.prompt_id] = Text(prompt.prompt_id, prompt.tokens, tokens, (Who.GUIDE,) * len(tokens), reason)
    return found
