"""Losses over a training run, as the reports keep them: values only, so that reading them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CurvePoint:
    """Mean pre-training loss (smoothed, nats per token) of the updates up to `step` since the point before."""

    step: int
    loss: float


@dataclass(frozen=True)
class TrainingPoint:
    """An adapter's losses (nats per response token) after `step` updates; None where not measured there."""

    step: int
    loss: float | None
    validation_loss: float | None
