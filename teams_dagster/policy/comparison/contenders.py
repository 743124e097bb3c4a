"""Who is compared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from teams_dagster.environment.decisions import Actor, Decider
from teams_dagster.policy.baselines import UNIFORM, baseline_names, baseline_version, baselines, is_deterministic

TRAINED = "trained"
TRAINED_WITHOUT_NONE: Literal["trained_without_none"] = "trained_without_none"
TEXT_ZEROED: Literal["text_zeroed"] = "text_zeroed"
TEXT_NOISE: Literal["text_noise"] = "text_noise"
UNREADING = (TEXT_ZEROED, TEXT_NOISE)
"""Trained alike without the text: what the trained policy gains over the better of them, it gains by reading."""
TRAINED_BY_GRADED: Literal["trained_by_graded"] = "trained_by_graded"
"""Trained alike by reward `graded`: what a policy trained by `dollars` gains over it, it gains by the prices."""
REFERENCE: Literal["reference"] = "reference"
"""Trained as the paper's code trains, and scored as all others are."""
NO_HISTORY: Literal["no_history"] = "no_history"


@dataclass(frozen=True)
class Contender:
    """A policy that is compared: one decider per training seed (baselines have one)."""

    name: str
    deciders: tuple[Actor | Decider, ...]
    versions: tuple[str, ...]
    """Policy version of each; the first is the deployed one, never the best."""
    deterministic: bool = False
    """Its episodes from one seed are all alike, so one is run and counted as often as its queries allow."""


def baseline_contenders(names: Collection[str]) -> list[Contender]:
    """The baselines called `names`, and uniform, which scores are measured against. The searched ones are left out.

    Raises ValueError on a name that is no baseline's.
    """
    known = baselines()
    wanted = {UNIFORM, *names}
    if unknown := wanted - set(baseline_names()):
        raise ValueError(f"unknown baselines {sorted(unknown)}; choose from {sorted(baseline_names())}")
    return [
        Contender(name, (decider,), (baseline_version(name),), is_deterministic(decider))
        for name, decider in known.items()
        if name in wanted
    ]
