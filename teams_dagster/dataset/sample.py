"""A sample and the training example made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from teams_dagster.core.disk_rows import DiskRows
from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.state import Episode


@dataclass(frozen=True)
class Accepted:
    """An accepted transition of a generation: an instruction that waits for its answer."""

    transition_id: str
    episode_id: str
    step: int
    seed_id: str
    instruction: Instruction


def accepted_in(episode: Episode) -> list[Accepted]:
    """The accepted transitions of an episode, in their order."""
    return [
        Accepted(t.transition_id, episode.episode_id, t.step, episode.key.seed_id, t.after)
        for t in episode.recorded
        if t.accepted and t.after is not None
    ]


@dataclass(frozen=True)
class GivenAnswer:
    """One of several answers that were asked for to the same instruction."""

    response: str | None
    """None where no usable answer came back."""
    respond_request_id: str | None
    reason: str | None
    """Why it was refused; None when it may be kept."""
    reasoning: str | None = None
    """What was thought before it, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An accepted transition of a generation with its answer, or one refused with a named reason."""

    sample_id: str
    transition_id: str
    episode_id: str
    step: int
    partition_key: str
    seed_id: str
    instruction: Instruction
    response: str | None
    """None where no usable answer came back."""
    respond_request_id: str | None
    accepted: bool
    reason: str | None
    """Why it was refused; None when accepted."""
    answers: tuple[GivenAnswer, ...] = ()
    """Every answer, where several were asked for: its own is the first of them that may be kept."""
    rejected: str | None = None
    """An answer to the same instruction that scored lower; None where there is none."""
    reasoning: str | None = None
    """What the expert thought before it answered, where that was asked for; no part of the response."""

    def row(self) -> dict[str, object]:
        """The columns of table `samples` that a run of the process knows (all but `run_id`)."""
        return {
            "sample_id": self.sample_id,
            "transition_id": self.transition_id,
            "episode_id": self.episode_id,
            "step": self.step,
            "partition_key": self.partition_key,
            "seed_id": self.seed_id,
            "instruction_id": self.instruction.instruction_id,
            "instruction": self.instruction.text,
            "input": self.instruction.input,
            "response": self.response,
            "respond_request_id": self.respond_request_id,
            "accepted": self.accepted,
            "reason": self.reason,
            "reasoning": self.reasoning,
        }

    def answer_rows(self) -> list[dict[str, object]]:
        """The rows of table `sample_answers` (all columns but `run_id`): none where one answer was asked for."""
        return [
            {
                "sample_id": self.sample_id,
                "answer": number,
                "partition_key": self.partition_key,
                "response": given.response,
                "respond_request_id": given.respond_request_id,
                "accepted": given.reason is None,
                "reason": given.reason,
                "reasoning": given.reasoning,
            }
            for number, given in enumerate(self.answers)
        ]


@dataclass(frozen=True, slots=True)
class Example:
    """What a student is trained on or scored on: an instruction with the response it should give."""

    sample_id: str
    seed_id: str
    """The seed at the root of the sample's lineage: statistics are clustered by it."""
    instruction: Instruction
    response: str
    rejected: str | None = field(default=None, kw_only=True)
    """An answer to the same instruction that scored lower; None where there is none."""
    reasoning: str | None = field(default=None, kw_only=True)
    """What was thought before the response, where it is in the dataset."""


class ExamplesOnDisk:
    """Examples whose texts lie on disk."""

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self._rows = DiskRows(7)
        for example in examples:
            self.append(example)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Example]:
        return map(self.__getitem__, range(len(self._rows)))

    def __getitem__(self, place: int) -> Example:
        sample_id, seed_id, text, material, response, rejected, reasoning = self._rows[place]
        told = Instruction(str(text), str(material))
        return Example(str(sample_id), str(seed_id), told, str(response), rejected=rejected, reasoning=reasoning)

    def append(self, example: Example) -> None:
        """Add an example after the others."""
        told = example.instruction
        names = (example.sample_id, example.seed_id)
        self._rows.append((*names, told.text, told.input, example.response, example.rejected, example.reasoning))
