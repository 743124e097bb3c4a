"""The benchmark of token-level training: one run of everything at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.rlgf.run import main


def test_every_algorithm_writes_as_many_tokens_and_the_page_compares_them(base: Path, tmp_path: Path) -> None:
    output = tmp_path / "RESULTS.md"
    names = ["ppo", "ppo_plus_plus", "aggrevated", "d2lols", "lols", "grpo", "rloo", "expert_iteration", "bc"]
    sizes = ["--tokens", "300", "--texts", "8", "--length", "6", "--evaluation-texts", "1", "--seeds", "2"]
    main(["--model", str(base), "--algorithms", *names, *sizes, "--output", str(output), "--scratch", str(tmp_path)])
    rows = [json.loads(line) for line in output.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["algorithm"], row["seed"]) for row in rows] == [(name, seed) for name in names for seed in (0, 1)]
    assert all(300 <= row["learner_tokens"] + row["guide_tokens"] < 300 + 2 * 8 * 6 for row in rows)
    assert "Reward of ppo_plus_plus less that of ppo, seed by seed:" in output.read_text(encoding="utf-8")
