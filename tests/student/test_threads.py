from __future__ import annotations

import pytest
import torch

from teams_dagster.student import threads
from teams_dagster.student.loading import Student
from teams_dagster.student.threads import threads_for


def test_a_small_model_computes_on_one_thread_and_a_large_one_on_all(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(3)
    with threads_for(student.model):
        assert torch.get_num_threads() == 1
    monkeypatch.setattr(threads, "SMALL", 1000)
    with threads_for(student.model):
        assert torch.get_num_threads() == 3
    torch.set_num_threads(1)
