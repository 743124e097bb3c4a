"""The privacy audit: three attacks on the base and each adapter, over the same matched examples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.membership.sampling import Candidate, matched_samples
from teams_dagster.evaluation.membership.signals import Signals, response_signals
from teams_dagster.evaluation.privacy import LOSS, MIN_K, REFERENCE, MembershipScore, membership_scores
from teams_dagster.student.chat import encode_example
from teams_dagster.student.lengths import Lengths, lengths_for
from teams_dagster.student.loading import Student, load_adapter, load_student

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
