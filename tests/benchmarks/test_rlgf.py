"""The table of the token-level benchmark, and where its trainings are kept."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from benchmarks.rlgf.report import Outcome, page
from benchmarks.rlgf.run import config_of, folder_of, parsed
from teams_dagster.rlgf.metrics import Metrics
from teams_dagster.rlgf.task import load_task

METRICS = Metrics(4, 0.0, 0.1, 9.0, 0.5, 0.6, 7.0, 0.9, 0.0)


def outcome(algorithm: str, seed: int, reward: float) -> Outcome:
    before = replace(METRICS, reward=reward)
    return Outcome(algorithm, seed, 2, 10, 0, before, replace(METRICS, reward=reward + 1))


def row(told: str, name: str) -> list[str]:
    [line] = [line for line in told.splitlines() if line.startswith(f"| {name} |")]
    return line.strip("| ").split(" | ")


def test_the_model_before_any_training_is_counted_once_a_seed() -> None:
    rewards = [0.1, 0.2, 0.6]
    one = page([outcome("ppo", seed, reward) for seed, reward in enumerate(rewards)], {})
    both = [outcome(name, seed, reward) for seed, reward in enumerate(rewards) for name in ("ppo", "bc", "grpo")]
    assert row(page(both, {}), "before") == row(one, "before")


def folder(*given: str) -> Path:
    arguments: Namespace = parsed(["--scratch", "scratch", *given])
    return folder_of(arguments, load_task(arguments.task), config_of(arguments, "ppo", 0))


def test_trainings_of_another_task_model_or_setting_have_another_folder(tmp_path: Path) -> None:
    other = tmp_path / "positive_continuation.yaml"
    other.write_text("{name: positive_continuation, reward: positivity, prompts: [It is], evaluation: [It was]}")
    given = ((), ("--task", str(other)), ("--model", "here/embedded"), ("--model", "there/embedded"), ("--rate", "1"))
    folders = [folder(*arguments) for arguments in given]
    assert len(set(folders)) == len(given)
    assert folder() == folders[0]
