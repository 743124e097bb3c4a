"""A better guide for positive continuation: the same model, which reads a sentence of praise before each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.guides import LocalWriter, Writer
from teams_dagster.rlgf.sampling import Begun
from teams_dagster.rlgf.training import vocabulary_of
from teams_dagster.student.loading import Student

PRAISE = "@praise"
"""Ends the name of an algorithm that has this guide."""
SENTENCE = "I love it! It is great, beautiful and wonderful, and I am so happy. "


@dataclass(frozen=True)
class Prefixed:
    """A writer who reads the same tokens before every prompt; the learner never sees them."""

    writer: Writer
    prefix: tuple[int, ...]

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        """What the writer adds to each of `begun`."""
        return self.writer.write([replace(text, prompt=(*self.prefix, *text.prompt)) for text in begun])


def praising(student: Student, config: RLGFConfig) -> Prefixed:
    """The guide made of `student`, a model of its own, which decodes as the guide of `config` does."""
    vocabulary = vocabulary_of(student)
    writer = LocalWriter(lambda: nullcontext(student.model), vocabulary, config.guide_decoding, config.at_once)
    return Prefixed(writer, tuple(student.tokenizer(SENTENCE)["input_ids"]))
