"""The task of answering the instruction dataset: its prompts are the dataset's, its reward is a judge's preference."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from teams_dagster.core.instruction import user_message
from teams_dagster.dataset.export import examples_in
from teams_dagster.dataset.sample import Example
from teams_dagster.policy.algorithms.base import FrozenConfig
from teams_dagster.rlgf.measures import MeasureName
from teams_dagster.rlgf.task import Task

if TYPE_CHECKING:
    from teams_dagster.student.loading import Student

DATASET_ANSWERS = "dataset_answers"
"""What names it where the path of a task file would be."""


class DatasetTask(Task):
    """Instructions to be answered; what an answer earns is not of the task alone: a judge is asked."""

    name: str = DATASET_ANSWERS
    asks: Literal["chat"] = "chat"  # pyright: ignore[reportIncompatibleVariableOverride] (the only one)
    reward: Literal["judge"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] (no function of texts)
        default="judge", description="The judge's preference over what the model answered before the training."
    )

    @property
    def measures(self) -> tuple[MeasureName, ...]:
        """Its metrics alone."""
        return self.metrics

    @property
    def reads_perplexity(self) -> bool:
        """A judge does not."""
        return False

    def rewards(
        self, prompts: Sequence[str], texts: Sequence[str], perplexities: Sequence[float] | None = None
    ) -> list[float]:
        """Raises ValueError: the judge is behind the engine, and is given to a training as its reward."""
        raise ValueError(f"the reward of {self.name} is a judge's: give the training a reward that asks it")


class DatasetPrompts(FrozenConfig):
    """Where the prompts of a `DatasetTask` come from, and how many there are."""

    train: Path = Field(description="Parquet file of the training side: texts are trained after its instructions.")
    held_out: Path = Field(description="Parquet file of the held-out side: texts are measured after its instructions.")
    prompts: int = Field(ge=1, description="Instructions of the training side, at most.")
    evaluation_prompts: int = Field(ge=1, description="Instructions of the held-out side, at most.")
    seed: int = Field(ge=0, description="Decides which.")

    def examples(self) -> dict[str, Example]:
        """By prompt, the first example of either side that asks it; a prompt of both is of the training side."""
        found: dict[str, Example] = {}
        for example in (*examples_in(self.train), *examples_in(self.held_out)):
            found.setdefault(user_message(example.instruction), example)
        return found

    def task(self, student: Student, room: int) -> DatasetTask:
        """The task, of instructions that leave `student` `room` tokens for an answer, one of each seed before a second.

        Raises ValueError where a side has none.
        """
        training = self._drawn(student, room, self.train, self.prompts, ())
        held_out = self._drawn(student, room, self.held_out, self.evaluation_prompts, set(training))
        return DatasetTask(prompts=training, evaluation=held_out)

    def _drawn(self, student: Student, room: int, file: Path, count: int, taken: Container[str]) -> tuple[str, ...]:
        from teams_dagster.student.answering import draw_examples
        from teams_dagster.student.chat import encode_prompt

        examples = list(examples_in(file))
        ordered = draw_examples(examples, len(examples), seed=self.seed)
        fitting = (
            user_message(example.instruction)
            for example in ordered
            if len(encode_prompt(student.tokenizer, example.instruction)) + room <= student.context
        )
        found = tuple(islice(_once(prompt for prompt in fitting if prompt not in taken), count))
        if not found:
            raise ValueError(
                f"none of {len(examples)} instructions in {file.name} leaves room for {room} tokens in a context of"
                f" {student.context}: lower max_new_tokens, or make a dataset with more instructions"
            )
        return found


def _once(prompts: Iterable[str]) -> Iterator[str]:
    """Each of them where it first comes; no more are looked at than are taken."""
    met = set[str]()
    for prompt in prompts:
        if prompt not in met:
            met.add(prompt)
            yield prompt
