"""The log-probability a student gives to responses: one number that loss, choice and privacy are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from teams_dagster.student.chat import MASKED, Encoded
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for

LOGITS_IN_MEMORY = 2**27
"""Logits held at once (0.5 GB as float32): the batch follows from it and from the vocabulary."""
BATCH_TOKENS = 4096
REPORTS = 4
"""How often progress is told while a list is scored."""


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
    """One score per example, in the order given.

    Examples of like length share a batch, padded on the right: under a causal mask this changes a score by no more
    than float noise.
    """
    scores: list[ResponseScore | None] = [None] * len(examples)
    vocabulary = student.model.config.get_text_config().vocab_size
    done, report_every = 0, max(1, -(-len(examples) // REPORTS))
    for batch in _batches(examples, min(BATCH_TOKENS, max(1, LOGITS_IN_MEMORY // vocabulary))):
        with threads_for(student.model):
            sums = _log_probabilities(student, [examples[i] for i in batch])
        for index, total in zip(batch, sums, strict=True):
            scores[index] = ResponseScore(total, examples[index].response_tokens)
        reported, done = done // report_every, done + len(batch)
        if done // report_every > reported or done == len(examples):
            progress(f"scored {done} of {len(examples)} responses")
    return [score for score in scores if score is not None]


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
    width = max(len(example.input_ids) for example in batch)
    pad = student.tokenizer.pad_token_id
    ids = torch.tensor([[*e.input_ids, *[pad] * (width - len(e.input_ids))] for e in batch])
    labels = torch.tensor([[*e.labels, *[MASKED] * (width - len(e.labels))] for e in batch])
    mask = torch.tensor([[1] * len(e.input_ids) + [0] * (width - len(e.input_ids)) for e in batch])
    place = student.model.device
    logits = student.model(input_ids=ids.to(place), attention_mask=mask.to(place), use_cache=False).logits
    labels = labels[:, 1:].to(place)
    shown = labels != MASKED
    losses = torch.nn.functional.cross_entropy(logits[:, :-1][shown].float(), labels[shown], reduction="none")
    return [-float(own.double().sum()) for own in losses.split(shown.sum(dim=1).tolist())]
