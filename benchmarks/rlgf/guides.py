"""Better guides: the same model, which reads a text before each prompt. The learner never sees that text.

`python -m benchmarks.rlgf.guides --model models/smollm2 --task concepts --guide examples` measures what such a guide's
texts earn, beside those of the model that guides without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from benchmarks.rlgf.report import with_interval
from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.collecting import Prompt
from teams_dagster.rlgf.config import DecodingConfig, RLGFConfig
from teams_dagster.rlgf.guides import LocalWriter, Writer
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.report import perplexities
from teams_dagster.rlgf.sampling import Begun, Vocabulary
from teams_dagster.rlgf.sequences import EndReason, Text
from teams_dagster.rlgf.task import Task, encoded, load_task
from teams_dagster.rlgf.training import vocabulary_of
from teams_dagster.student.loading import Student, load_student

READ_FIRST = {
    "praise": "I love it! It is great, beautiful and wonderful, and I am so happy. ",
    "examples": (
        "A sentence with the words woman, bag and shop: The woman carries a heavy bag out of the shop.\n"
        "A sentence with the words son, car and wash: Her son washes the car every Saturday.\n"
        "A sentence with the words king, castle and live: The king lives in an old castle.\n"
    ),
}
"""By guide what it reads before each prompt: praise for positive continuation, worked examples for concepts."""


def algorithm_and_guide(name: str) -> tuple[str, str | None]:
    """`ALGORITHM@GUIDE` or `ALGORITHM`, which the model guides by itself. Raises ValueError for an unknown guide."""
    algorithm, _, guide = name.partition("@")
    if guide and guide not in READ_FIRST:
        raise ValueError(f"{name}: there is no guide {guide}; say {', '.join(READ_FIRST)}, or the algorithm alone")
    return algorithm, guide or None


@dataclass(frozen=True)
class Prefixed:
    """A writer who reads the same tokens before every prompt; the learner never sees them."""

    writer: Writer
    prefix: tuple[int, ...]

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        """What the writer adds to each of `begun`."""
        return self.writer.write([replace(text, prompt=(*self.prefix, *text.prompt)) for text in begun])


def better_guide(guide: str, student: Student, config: RLGFConfig) -> Prefixed:
    """`guide` made of `student`, a model of its own, which decodes as the guide of `config` does."""
    writer = _writer(student, vocabulary_of(student), config.guide_decoding, config.at_once)
    return Prefixed(writer, tuple(student.tokenizer(READ_FIRST[guide])["input_ids"]))


def _writer(student: Student, vocabulary: Vocabulary, decoding: DecodingConfig, at_once: int) -> LocalWriter:
    return LocalWriter(lambda: nullcontext(student.model), vocabulary, decoding, at_once)


def main(given: Sequence[str] | None = None) -> None:
    """What each writer's texts earn after the training prompts, with 95% t intervals over the prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a folder or hub id")
    parser.add_argument("--task", default="concepts", help="a task file, or a task of the package")
    parser.add_argument("--guide", choices=list(READ_FIRST), default="examples")
    parser.add_argument("--texts", type=int, default=4, help="after each training prompt")
    parser.add_argument("--length", type=int, default=16, help="tokens of a text at most")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16", help="of the model's weights")
    arguments = parser.parse_args(given)
    task, student = load_task(arguments.task), load_student(arguments.model, dtype=getattr(torch, arguments.dtype))
    config = RLGFConfig(max_new_tokens=arguments.length, at_once=16)
    better, vocabulary = better_guide(arguments.guide, student, config), vocabulary_of(student)
    prompts = encoded(student.tokenizer, task.prompts, task.asks)
    written = {
        "the learner before training": _writer(student, vocabulary, config.decoding, config.at_once),
        "the model as guide": _writer(student, vocabulary, config.guide_decoding, config.at_once),
        f"guide `{arguments.guide}`": better,
    }
    texts = {who: _texts(writer, prompts, arguments) for who, writer in written.items()}
    learner = TokenLearner(student.model, config)  # adds adapters to the model, so it comes after the writing
    measured = {who: _measured(mine, task, student, learner) for who, mine in texts.items()}
    print("| writer | texts | " + " | ".join(task.measures) + " | tokens |")
    print("| --- " * (3 + len(task.measures)) + "|")
    for who, columns in measured.items():
        print(f"| {who} | {len(texts[who])} | " + " | ".join(map(with_interval, columns)) + " |")
    *_, (plain, *_), (rewards, *_) = measured.values()
    gap = with_interval([one - other for one, other in zip(rewards, plain, strict=True)])
    print(f"\nReward of guide `{arguments.guide}` less that of the model as guide, prompt by prompt: {gap}.")


def _texts(writer: Writer, prompts: Sequence[Prompt], arguments: argparse.Namespace) -> list[Text]:
    begun = [
        (prompt, Begun(prompt.tokens, (), arguments.length, (0, "guides", number, time)))
        for number, prompt in enumerate(prompts)
        for time in range(arguments.texts)
    ]
    tokens = writer.write([text for _, text in begun])
    return [
        Text(prompt.prompt_id, prompt.tokens, mine, (Who.GUIDE,) * len(mine), EndReason.LENGTH)
        for (prompt, _), mine in zip(begun, tokens, strict=True)
    ]


def _measured(texts: Sequence[Text], task: Task, student: Student, learner: TokenLearner) -> list[list[float]]:
    """Of each of the task's measures, and of the length: by prompt the mean of its texts."""
    names = [text.prompt_id for text in texts]
    said = [str(student.tokenizer.decode(list(text.tokens), skip_special_tokens=True)) for text in texts]
    known = perplexities(learner, texts, vocabulary_of(student).padding)
    columns: list[list[float]] = [task.scores(measure, names, said, known) for measure in task.measures]
    columns.append([float(len(text.tokens)) for text in texts])
    return [
        [fmean(value for value, name in zip(column, names, strict=True) if name == prompt) for prompt in task.prompts]
        for column in columns
    ]


if __name__ == "__main__":
    main()
