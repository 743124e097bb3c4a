from __future__ import annotations

import os
from pathlib import Path

import pytest

from teams_dagster.student.isolation import FolderInUse, alone_in


def test_a_folder_has_one_training_at_a_time(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / ".lock"),
        pytest.raises(FolderInUse, match=f"process {os.getpid()} trains in {tmp_path}: wait for its end"),
        alone_in(tmp_path / ".lock", patience_s=0),
    ):
        pass


def test_a_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with alone_in(tmp_path / ".lock", patience_s=0):
            pass
