"""The checkpoints of a training, and from which of them it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMPLETE = "complete"
"""A file that a checkpoint gets last: one without it was being written when its process died."""
PREFIX = "checkpoint-"


def stalled(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` validation losses brought nothing better than the best before them."""
    if not losses:
        return False
    best = min(range(len(losses)), key=losses.__getitem__)
    return len(losses) - 1 - best >= patience


def validation_losses(history: Sequence[dict[str, Any]]) -> list[float]:
    """Those in a trainer's log, in order, the base's own first."""
    return [float(entry["eval_loss"]) for entry in history if "eval_loss" in entry]


def mark_complete(folder: Path, step: int) -> None:
    """States that the checkpoint after `step` updates is written."""
    (folder / f"{PREFIX}{step}" / COMPLETE).touch()


def checkpoint_to_resume(folder: Path, updates: int, patience: int | None) -> Path | None:
    """The latest checkpoint that something is left to do after; whatever is later or half written is removed.

    A trainer that is started at its last update would make one more: then the checkpoint before that is taken.
    """
    found = sorted(folder.glob(f"{PREFIX}*"), key=_step, reverse=True)
    for checkpoint in found:
        if (checkpoint / COMPLETE).exists() and not _finished(checkpoint, updates, patience):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def _finished(checkpoint: Path, updates: int, patience: int | None) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    losses = validation_losses(state["log_history"])
    return state["global_step"] >= updates or (patience is not None and stalled(losses, patience))
