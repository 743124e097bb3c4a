"""A task: what a language model is to write after, what earns a reward, and how it is measured. A YAML file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from teams_dagster.core.hashing import content_hash
from teams_dagster.policy.algorithms.base import FrozenConfig
from teams_dagster.rlgf.lexicon import positivity

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from teams_dagster.rlgf.collecting import Prompt

Reward = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Prompts and the texts after them to what each text earns. Any function that is always the same, a model or not."""

REWARDS: dict[str, Callable[[str, str], float]] = {"positivity": lambda prompt, text: positivity(text)}
"""Rewards that a task file can name; of one prompt and the text after it."""


class Task(FrozenConfig):
    """What a task file says."""

    name: str = Field(min_length=1, description="What it is called.")
    asks: Literal["continuation", "chat"] = Field(
        default="continuation",
        description="`continuation`: the model goes on with the prompt; `chat`: it answers it, in its chat template.",
    )
    reward: Literal["positivity"] = Field(description="What earns a reward.")
    prompts: tuple[str, ...] = Field(min_length=1, description="What texts are trained after.")
    evaluation: tuple[str, ...] = Field(min_length=1, description="What texts are measured after; none of `prompts`.")

    @model_validator(mode="after")
    def _sides_are_apart(self) -> Task:
        if both := sorted({*self.prompts} & {*self.evaluation}):
            raise ValueError(f"{both[0]!r} is among `prompts` and `evaluation`: leave it in one of them")
        return self

    @property
    def version(self) -> str:
        """A hash of all that it says."""
        return content_hash("rlgf task", self.model_dump_json())

    def rewards(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """What each of `texts` earns after its prompt."""
        return [REWARDS[self.reward](prompt, text) for prompt, text in zip(prompts, texts, strict=True)]


def load_task(path: str | Path) -> Task:
    """The task in the file at `path`, or the one of this package that is named so.

    Raises ValueError where the file is missing or not a task, saying which field.
    """
    file = files("teams_dagster.rlgf") / "tasks" / f"{path}.yaml"
    where = file if file.is_file() else Path(path)
    if not where.is_file():
        raise ValueError(f"there is no task {path}: give the path of a task file, or one of {', '.join(known_tasks())}")
    try:
        content: Any = yaml.safe_load(where.read_text(encoding="utf-8"))
        return Task.model_validate(content)
    except (yaml.YAMLError, ValidationError) as error:
        raise ValueError(f"{path} is not a task: {error}") from error


def known_tasks() -> list[str]:
    """The tasks of this package."""
    folder = files("teams_dagster.rlgf") / "tasks"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], asks: str) -> list[Prompt]:
    """Prompts as tokens; each is known by its text."""
    from teams_dagster.rlgf.collecting import Prompt

    return [Prompt(text, tuple(_tokens(tokenizer, text, asks))) for text in texts]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str, asks: str) -> list[int]:
    from teams_dagster.student.chat import tokens_of
    from teams_dagster.student.conversation import prompt_text

    if asks == "continuation":
        found: Any = tokenizer(text)["input_ids"]
    else:
        found = tokens_of(tokenizer, prompt_text(tokenizer, text))
    if not found:
        raise ValueError(f"the prompt {text!r} has no token: give it a word")
    return list(found)
