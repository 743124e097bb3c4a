"""The privacy audit: three attacks on the base and each adapter, over the same matched examples.

Members and non-members are matched by step and length, so that they differ in nothing but membership, as far as can
be seen. An attack looks at how a student takes the tokens of a response that it is shown.
"""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from teams_dagster.core.rng import generator
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.privacy import LOSS, MIN_K, REFERENCE, MembershipScore, membership_scores
from teams_dagster.student.chat import Encoded, encode_example
from teams_dagster.student.lengths import Lengths, lengths_for
from teams_dagster.student.loading import Student, load_adapter, load_student
from teams_dagster.student.scoring import by_batches, response_logits

LOWEST_SHARE = 0.2
"""The k of Min-K%++: the share of a response's tokens, the least expected ones, that it averages."""


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
    return by_batches(student, examples, _signals, told="took", progress=progress)


@torch.inference_mode()
def _signals(student: Student, batch: Sequence[Encoded]) -> list[Signals]:
    logits, tokens, sizes = response_logits(student, batch)
    given, normalised = token_signals(logits, tokens)
    return [
        Signals(-float(own.double().mean()), -lowest_mean(normal))
        for own, normal in zip(torch.split(given, sizes), torch.split(normalised, sizes), strict=True)
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


LENGTH_RATIO = 1.25
"""Lengths within a bin differ by no more than this factor."""


MOST = 2000
"""Examples of a side at most: enough for half-widths of about 0.02."""


@dataclass(frozen=True)
class Candidate:
    """An example with what it is matched on."""

    example: Example
    length: int
    """Tokens of the response."""
    step: int
    """Edits between its seed and its instruction."""

    @property
    def stratum(self) -> tuple[int, int]:
        """Examples of one stratum can stand for one another."""
        return self.step, math.floor(math.log(self.length) / math.log(LENGTH_RATIO))


def matched_samples(
    members: Iterable[Candidate], others: Iterable[Candidate], *, seed: int, most: int = MOST
) -> tuple[list[Example], list[Example]]:
    """As many of each side from every stratum, `most` of a side at most, in order of sample id.

    Within a stratum, a second example of a seed is drawn only when every seed has given its first, so that the samples
    rest on as many seeds as can be. The draw is keyed by `seed` and does not depend on the order of either side.

    Raises ValueError when no stratum has examples of both sides.
    """
    sides = [_by_stratum(side) for side in (members, others)]
    pairs: list[tuple[Example, Example]] = []
    for stratum in sorted(set(sides[0]) & set(sides[1])):
        drawn = [_ordered(side[stratum], seed, *stratum) for side in sides]
        pairs += zip(*drawn, strict=False)
    if not pairs:
        counts = [sum(map(len, side.values())) for side in sides]
        raise ValueError(
            f"no training example of {counts[0]} and held-out example of {counts[1]} are alike in step and length:"
            " membership inference needs more samples on both sides"
        )
    kept = generator("membership pairs", seed).permutation(len(pairs))[:most]
    chosen = [pairs[int(i)] for i in kept]
    return _by_id(one for one, _ in chosen), _by_id(other for _, other in chosen)


def _by_stratum(side: Iterable[Candidate]) -> dict[tuple[int, int], list[Candidate]]:
    strata: dict[tuple[int, int], list[Candidate]] = defaultdict(list)
    for candidate in side:
        strata[candidate.stratum].append(candidate)
    return strata


def _ordered(candidates: Sequence[Candidate], seed: int, *stratum: int) -> list[Example]:
    """One example of each seed before any second one, the seeds and their examples in a keyed order."""
    examples = _by_id(candidate.example for candidate in candidates)
    random = generator("membership draw", seed, *stratum)
    shuffled = [examples[int(i)] for i in random.permutation(len(examples))]
    turns: dict[Hashable, int] = defaultdict(int)
    ranked: list[tuple[int, int, Example]] = []
    for place, example in enumerate(shuffled):
        ranked.append((turns[example.seed_id], place, example))
        turns[example.seed_id] += 1
    return [example for _, _, example in sorted(ranked, key=lambda entry: entry[:2])]


def _by_id(examples: Iterable[Example]) -> list[Example]:
    return sorted(examples, key=lambda example: example.sample_id)


Progress = Callable[[str], None]
BASE = "base"


@dataclass(frozen=True)
class Audit:
    """Membership inference of the base (control) and each adapter."""

    results: tuple[MembershipScore, ...]
    too_long: tuple[str, ...]
    """Sample ids left out because they exceed the base's context."""


def audit_privacy(
    base: str | Path,
    adapters: Mapping[str, Path],
    train: Sequence[Example],
    held_out: Sequence[Example],
    steps: Mapping[str, int],
    *,
    seed: int,
    progress: Progress = lambda _: None,
) -> Audit:
    """Every attack on the base and each of `adapters`; `steps` are the edits behind each sample id.

    Raises ValueError when the two sides have nothing alike.
    """
    student = load_student(base)
    lengths = lengths_for(base, adapters.values())
    members, members_too_long = _candidates(lengths, student.context, train, steps)
    others, others_too_long = _candidates(lengths, student.context, held_out, steps)
    chosen = matched_samples(members, others, seed=seed)
    examples = [*chosen[0], *chosen[1]]
    signals: dict[str, list[Signals]] = {}
    for name, folder in {BASE: None, **adapters}.items():
        asked = student if folder is None else load_adapter(base, folder)
        signals[name] = signals_of(asked, examples, name, progress)
        del asked
        gc.collect()
    results = attack(
        signals,
        [example.seed_id for example in examples],
        [True] * len(chosen[0]) + [False] * len(chosen[1]),
        seed=seed,
    )
    return Audit(tuple(results), (*members_too_long, *others_too_long))


def signals_of(student: Student, examples: Sequence[Example], name: str, progress: Progress) -> list[Signals]:
    """What `student` makes of each example."""
    encoded = [encode_example(student.tokenizer, example, student.context) for example in examples]
    return response_signals(student, encoded, progress=lambda line: progress(f"{name}: {line}"))


def attack(
    signals: Mapping[str, Sequence[Signals]], seeds: Sequence[str], is_member: Sequence[bool], *, seed: int
) -> list[MembershipScore]:
    """Each attack on each model of `signals`, `base` among them; all over the same examples.

    Calibrated by its reference, the base itself is 0 everywhere: there the control is a guess.
    """
    loss = {model: np.array([signal.loss for signal in own]) for model, own in signals.items()}
    min_k = {model: np.array([signal.min_k for signal in own]) for model, own in signals.items()}
    calibrated = {model: own - loss[BASE] for model, own in loss.items() if model != BASE}
    return [
        result
        for name, values in ((LOSS, loss), (MIN_K, min_k), (REFERENCE, calibrated))
        for result in membership_scores(name, values, seeds, is_member, seed=seed)
    ]


def _candidates(
    lengths: Lengths, context: int, examples: Sequence[Example], steps: Mapping[str, int]
) -> tuple[list[Candidate], list[str]]:
    """The examples within the context, and the sample ids of the others. Raises ValueError for an unknown step."""
    fitting: list[Candidate] = []
    too_long: list[str] = []
    for example in examples:
        if example.sample_id not in steps:
            raise ValueError(f"sample {example.sample_id} has no step: the dataset's lineage does not know it")
        if lengths.whole(example) <= context:
            fitting.append(Candidate(example, lengths.response(example), steps[example.sample_id]))
        else:
            too_long.append(example.sample_id)
    return fitting, too_long
