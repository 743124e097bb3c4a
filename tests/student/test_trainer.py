from __future__ import annotations

import json
from pathlib import Path

import pytest

from teams_dagster.student.trainer import checkpoint_to_resume, mark_complete, stalled


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [([], 1, False), ([3.0, 2.0, 1.0], 1, False), ([3.0, 2.0, 2.5], 1, True), ([3.0, 2.0, 2.0, 2.0], 2, True)],
)
def test_a_training_stalls_after_so_many_losses_that_are_no_better(
    losses: list[float], patience: int, expected: bool
) -> None:
    assert stalled(losses, patience) is expected


def checkpoint(folder: Path, step: int, losses: tuple[float, ...] = (), *, complete: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    history = [{"eval_loss": loss} for loss in losses]
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
    if complete:
        mark_complete(folder, step)
    return path


def test_the_latest_whole_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    expected = checkpoint(tmp_path, 10)
    torn = checkpoint(tmp_path, 11, complete=False)
    assert checkpoint_to_resume(tmp_path, 20, None) == expected
    assert not torn.exists()


def test_one_after_which_nothing_is_left_to_do_is_made_again(tmp_path: Path) -> None:
    expected = checkpoint(tmp_path, 10, (3.0, 2.0))
    checkpoint(tmp_path, 15, (3.0, 2.0, 2.5))
    assert checkpoint_to_resume(tmp_path, 20, 1) == expected
    assert checkpoint_to_resume(tmp_path, 10, None) is None
