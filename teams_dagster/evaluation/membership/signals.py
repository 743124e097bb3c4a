"""What an attack looks at: how a student takes the tokens of a response it is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from teams_dagster.student.chat import MASKED, Encoded
from teams_dagster.student.loading import Student
from teams_dagster.student.scoring import BATCH_TOKENS, LOGITS_IN_MEMORY
from teams_dagster.student.threads import threads_for

LOWEST_SHARE = 0.2
"""The k of Min-K%++: the share of a response's tokens, the least expected ones, that it averages."""
REPORTS = 4


@dataclass(frozen=True)
class Signals:
    """One response on one student; both are lower for what it knows."""

    loss: float
    """Mean negative log-probability per token, in nats."""
    min_k: float
    """Less the Min-K%++ score: the mean of the lowest normalised log-probabilities."""


def response_signals(
    student: Student, examples: Sequence[Encoded], *, progress: Callable[[str], None] = lambda _: None
) -> list[Signals]:
    """The signals of each example's response, its end token included, in the order given."""
    vocabulary = student.model.config.get_text_config().vocab_size
    signals: list[Signals | None] = [None] * len(examples)
    done, report_every = 0, max(1, math.ceil(len(examples) / REPORTS))
    for batch in _batches(examples, min(BATCH_TOKENS, max(1, LOGITS_IN_MEMORY // vocabulary))):
        with threads_for(student.model):
            found = _signals(student, [examples[i] for i in batch])
        for index, signal in zip(batch, found, strict=True):
            signals[index] = signal
        before, done = done, done + len(batch)
        if done // report_every > before // report_every or done == len(examples):
            progress(f"took {done} of {len(examples)} responses")
    return [signal for signal in signals if signal is not None]


def _batches(examples: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
    """Indices, longest first, at most `tokens` padded tokens a batch (one example at least)."""
    order = sorted(range(len(examples)), key=lambda i: (-len(examples[i].input_ids), i))
    start = 0
    while start < len(order):
        size = max(1, tokens // len(examples[order[start]].input_ids))
        yield order[start : start + size]
        start += size


@torch.inference_mode()
def _signals(student: Student, batch: Sequence[Encoded]) -> list[Signals]:
    width = max(len(example.input_ids) for example in batch)
    pad, place = student.tokenizer.pad_token_id, student.model.device
    ids = torch.tensor([[*e.input_ids, *[pad] * (width - len(e.input_ids))] for e in batch], device=place)
    labels = torch.tensor([[*e.labels, *[MASKED] * (width - len(e.labels))] for e in batch], device=place)[:, 1:]
    mask = torch.tensor([[1] * len(e.input_ids) + [0] * (width - len(e.input_ids)) for e in batch], device=place)
    logits = student.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    shown = labels != MASKED
    given, normalised = token_signals(logits[shown], labels[shown])
    sizes = shown.sum(dim=1).tolist()
    return [
        Signals(-float(own.double().mean()), -lowest_mean(normal))
        for own, normal in zip(given.split(sizes), normalised.split(sizes), strict=True)
    ]


def token_signals(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each token's log-probability, and the same in standard deviations from what the model expects there.

    The expectation and the deviation are of the log-probability under the model's own prediction (Zhang et al. 2024,
    arXiv 2404.02936, equation 3). `logits` are (tokens, vocabulary).
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=-1)
    probabilities = log_probabilities.exp()
    given = log_probabilities.gather(1, tokens.unsqueeze(1)).squeeze(1)
    # a probability of 0 has a logarithm of minus infinity, and adds nothing to either sum
    finite = log_probabilities.masked_fill(probabilities == 0, 0.0)
    mean = (probabilities * finite).sum(dim=-1)
    variance = (probabilities * (finite - mean.unsqueeze(1)).square()).sum(dim=-1)
    return given, (given - mean) / variance.clamp_min(torch.finfo(torch.float32).tiny).sqrt()


def lowest_mean(normalised: torch.Tensor) -> float:
    """The mean of the lowest k% of a response's tokens, one at least."""
    count = max(1, int(LOWEST_SHARE * len(normalised)))
    return float(normalised.topk(count, largest=False).values.mean())
