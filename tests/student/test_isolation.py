from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from teams_dagster.student.isolation import FolderInUse, alone_in, one_training_at_a_time


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


def test_a_second_training_of_the_machine_says_that_it_waits_and_comes_after_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        def told(line: str) -> None:
            order.append(line)
            waits.set()

        with one_training_at_a_time(tmp_path, told):
            order.append("second")

    thread = threading.Thread(target=second)
    with one_training_at_a_time(tmp_path, order.append):
        thread.start()
        assert waits.wait(30)
        order.append("first ends")
    thread.join()
    assert order == ["another model is being trained over this data folder: waiting for it", "first ends", "second"]
