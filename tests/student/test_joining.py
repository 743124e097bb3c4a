"""Two adapters as one."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel

from teams_dagster.student.joining import join_adapters
from teams_dagster.student.loading import load_adapter
from tests.support.tuned_student import random_adapter

IDS = torch.tensor([[5, 6, 7, 8]])


def test_joined_they_do_what_one_does_on_top_of_the_other(base: Path, tmp_path: Path) -> None:
    first = random_adapter(base, tmp_path / "first", scale=2)
    second = random_adapter(base, tmp_path / "second", seed=1, scale=4, modules=["q_proj", "up_proj"])
    join_adapters(first, second, tmp_path / "joined")
    merged = load_adapter(base, first).model.merge_and_unload()
    with torch.no_grad():
        below = merged(IDS).logits
        expected = PeftModel.from_pretrained(merged, str(second))(IDS).logits
        found = load_adapter(base, tmp_path / "joined").model(IDS).logits
    assert not torch.allclose(below, expected, atol=1e-3)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_same_two_are_the_same_files(base: Path, tmp_path: Path) -> None:
    first, second = (random_adapter(base, tmp_path / f"{seed}", seed=seed) for seed in (0, 1))
    for name in ("one", "two"):
        join_adapters(first, second, tmp_path / name)
    files = [sorted((p.name, p.read_bytes()) for p in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1]
