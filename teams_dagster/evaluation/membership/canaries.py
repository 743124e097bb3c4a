"""Canaries: made-up secrets, shown to an adapter of their own, that measure what such a training gives away.

A canary's answer is random, so one that was shown and one that was not differ in nothing but that. Exposure is that of
Carlini et al. 2019 (arXiv 1802.08232): log2 of the number of canaries it competes with, less log2 of its rank by loss.
The adapter is trained for the audit alone, in a folder that is gone afterwards: no canary enters a dataset or a model
that is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import generator
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.membership.audit import BASE, Progress, attack, signals_of
from teams_dagster.evaluation.privacy import CanaryAudit
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.loading import load_adapter, load_student

CANARY_ADAPTER = "canary_adapter"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SECRET_LETTERS = 12


def audit_canaries(
    base: str | Path,
    train: Sequence[Example],
    config: AdapterConfig,
    *,
    canaries: int,
    times: int,
    seed: int,
    progress: Progress = lambda _: None,
) -> CanaryAudit:
    """Trains an adapter on `train` and on `canaries` secrets, `times` each, and compares them with as many never shown.

    Raises ValueError for fewer than two canaries.
    """
    if canaries < 2:
        raise ValueError(f"{canaries} canaries cannot be ranked: ask for two at least")
    shown, never = make_canaries(canaries, seed, "shown"), make_canaries(canaries, seed, "never shown")
    examples = [*shown, *never]
    with tempfile.TemporaryDirectory(prefix="teams-canaries-") as folder:
        train_adapter(base, [*train, *(shown * times)], [], Path(folder), config, progress)
        signals = {
            BASE: signals_of(load_student(base), examples, BASE, progress),
            CANARY_ADAPTER: signals_of(load_adapter(base, Path(folder)), examples, CANARY_ADAPTER, progress),
        }
    results = attack(signals, [e.seed_id for e in examples], [True] * canaries + [False] * canaries, seed=seed)
    losses = {name: np.array([signal.loss for signal in own]) for name, own in signals.items()}
    exposures = {name: exposure(own[:canaries], own[canaries:]) for name, own in losses.items()}
    return CanaryAudit(
        tuple(results),
        exposures[CANARY_ADAPTER],
        exposures[BASE],
        float(np.log2(canaries + 1)),
        canaries,
        times,
    )


def make_canaries(count: int, seed: int, side: str) -> list[Example]:
    """Secrets drawn by (seed, side), each under a name of its own."""
    random = generator("canaries", seed, side)

    def word(letters: int) -> str:
        return "".join(LETTERS[int(i)] for i in random.integers(len(LETTERS), size=letters))

    return [
        Example(name, name, Instruction(f"What is the password of {word(6)}?"), word(SECRET_LETTERS))
        for name in (f"canary, {side}, {number}" for number in range(count))
    ]


def exposure(shown: np.ndarray, never: np.ndarray) -> float:
    """Mean over `shown` of log2(competitors + 1) - log2(rank among those never shown); ties rank half below."""
    ordered = np.sort(never)
    below = (np.searchsorted(ordered, shown, side="left") + np.searchsorted(ordered, shown, side="right")) / 2
    return float((np.log2(len(never) + 1) - np.log2(below + 1)).mean())
