"""The benchmark of fine-tuning: one run of everything at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.training.run import measure


def test_both_sides_train_on_the_same_tokens_and_the_page_compares_them(tmp_path: Path) -> None:
    output = tmp_path / "RESULTS.md"
    measure(output, tiny=True, scratch=tmp_path / "scratch")
    kept = [json.loads(line) for line in output.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["side"] for row in kept] == ["ours", "plain"]
    assert len({row["measured"]["tokens"] for row in kept}) == 1
    assert all(row["measured"]["cost"]["cpu_s"] > 0 for row in kept)
    page = output.read_text(encoding="utf-8")
    assert "A trial run" in page
    for title in ("Goals", "Trainings", "Where we lose"):
        assert f"\n## {title}\n" in page
