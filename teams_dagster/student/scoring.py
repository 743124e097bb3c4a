"""The log-probability a student gives to responses: one number that loss, choice and privacy are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch

from teams_dagster.student.chat import MASKED, Encoded
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for

LOGITS_IN_MEMORY = 2**27
"""Logits held at once (0.5 GB as float32): the batch follows from it and from the vocabulary."""
BATCH_TOKENS = 4096
REPORTS = 4
"""How often progress is told while a list is scored."""

T = TypeVar("T")


@dataclass(frozen=True)
class ResponseScore:
    """How probable a student finds a response after its instruction."""

    log_probability: float
    """Sum over the response's tokens, end of sequence included, in nats."""
    tokens: int

    @property
    def loss(self) -> float:
        """Mean negative log-probability per token, in nats."""
        return -self.log_probability / self.tokens


def score_encoded(
    student: Student, examples: Sequence[Encoded], *, progress: Callable[[str], None] = lambda _: None
) -> list[ResponseScore]:
    """One score per example, in the order given."""
    totals = by_batches(student, examples, _log_probabilities, told="scored", progress=progress)
    return [ResponseScore(total, example.response_tokens) for total, example in zip(totals, examples, strict=True)]


def by_batches(
    student: Student,
    examples: Sequence[Encoded],
    compute: Callable[[Student, Sequence[Encoded]], Sequence[T]],
    *,
    told: str,
    progress: Callable[[str], None],
) -> list[T]:
    """What `compute` finds for each example of a batch, for all of `examples`, in the order given.

    Examples of like length share a batch, padded on the right: under a causal mask this changes what is found by no
    more than float noise. `told` is the verb of the progress.
    """
    found: dict[int, T] = {}
    vocabulary = student.model.config.get_text_config().vocab_size
    report_every = max(1, -(-len(examples) // REPORTS))
    for batch in _batches(examples, min(BATCH_TOKENS, max(1, LOGITS_IN_MEMORY // vocabulary))):
        reported = len(found) // report_every
        with threads_for(student.model):
            found.update(zip(batch, compute(student, [examples[i] for i in batch]), strict=True))
        if len(found) // report_every > reported or len(found) == len(examples):
            progress(f"{told} {len(found)} of {len(examples)} responses")
    return [found[index] for index in range(len(examples))]


def _batches(examples: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
    """Indices of `examples`, longest first, at most `tokens` padded tokens a batch (one example at least)."""
    order = sorted(range(len(examples)), key=lambda i: (-len(examples[i].input_ids), i))
    start = 0
    while start < len(order):
        size = max(1, tokens // len(examples[order[start]].input_ids))
        yield order[start : start + size]
        start += size


@torch.inference_mode()
def _log_probabilities(student: Student, batch: Sequence[Encoded]) -> list[float]:
    """Sums of log-probabilities over each example's labelled tokens."""
    logits, tokens, sizes = response_logits(student, batch)
    losses = torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="none")
    return [-float(own.double().sum()) for own in torch.split(losses, sizes)]


def response_logits(student: Student, batch: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """What a student expects at each labelled token of a batch, the examples one after another.

    Returns:
        The logits, (tokens, vocabulary); the tokens, (tokens,); and how many of them each example has.
    """
    width = max(len(example.input_ids) for example in batch)
    pad, place = student.tokenizer.pad_token_id, student.model.device
    ids = torch.tensor([[*e.input_ids, *[pad] * (width - len(e.input_ids))] for e in batch], device=place)
    labels = torch.tensor([[*e.labels, *[MASKED] * (width - len(e.labels))] for e in batch], device=place)[:, 1:]
    mask = torch.tensor([[1] * len(e.input_ids) + [0] * (width - len(e.input_ids)) for e in batch], device=place)
    logits = student.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    shown = labels != MASKED
    sizes = cast(list[int], shown.sum(dim=1).tolist())  # pyright: ignore[reportUnknownMemberType]
    return logits[shown], labels[shown], sizes
