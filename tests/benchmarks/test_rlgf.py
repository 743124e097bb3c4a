"""The table of the token-level benchmark, and where its trainings are kept."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.rlgf import beside_trl
from benchmarks.rlgf.beside_trl import Measured, Sizes
from benchmarks.rlgf.guides import READ_FIRST, Prefixed, algorithm_and_guide
from benchmarks.rlgf.report import Outcome, page, pages
from benchmarks.rlgf.run import config_of, folder_of, parsed
from teams_dagster.rlgf.config import TokenD2LOLSConfig
from teams_dagster.rlgf.report import Metrics
from teams_dagster.rlgf.sampling import Begun
from teams_dagster.rlgf.task import load_task

ROWS = sorted(Path(beside_trl.__file__).parent.glob("*SMOLLM2.jsonl"))
METRICS = Metrics(4, 0.0, 0.1, 9.0, 0.5, 0.6, 7.0, 0.9, 0.0)


def outcome(algorithm: str, seed: int, reward: float) -> Outcome:
    before = replace(METRICS, reward=reward)
    return Outcome(algorithm, seed, 2, 10, 0, before, replace(METRICS, reward=reward + 1), ())


def row(told: str, name: str) -> list[str]:
    [line] = [line for line in told.splitlines() if line.startswith(f"| {name} |")]
    return line.strip("| ").split(" | ")


def test_the_model_before_any_training_is_counted_once_a_seed() -> None:
    rewards = [0.1, 0.2, 0.6]
    one = page([outcome("ppo", seed, reward) for seed, reward in enumerate(rewards)], {})
    both = [outcome(name, seed, reward) for seed, reward in enumerate(rewards) for name in ("ppo", "bc", "grpo")]
    elsewhere = outcome("lols", 0, 0.9)  # of a machine that rounds differently
    assert row(page([*both, elsewhere], {}), "before") == row(one, "before")


def folder(*given: str) -> Path:
    arguments: Namespace = parsed(["--scratch", "scratch", *given])
    return folder_of(arguments, load_task(arguments.task), config_of(arguments, "ppo", 0), "start")


def test_trainings_of_another_task_model_or_setting_have_another_folder(tmp_path: Path) -> None:
    other = tmp_path / "positive_continuation.yaml"
    other.write_text("{name: positive_continuation, reward: positivity, prompts: [It is], evaluation: [It was]}")
    given = ((), ("--task", str(other)), ("--model", "here/embedded"), ("--model", "there/embedded"), ("--rate", "1"))
    folders = [folder(*arguments) for arguments in given]
    assert len(set(folders)) == len(given)
    assert folder() == folders[0]


def test_another_guide_or_precision_has_another_folder() -> None:
    arguments, half = parsed(["--scratch", "scratch"]), parsed(["--scratch", "scratch", "--dtype", "bfloat16"])
    task, config = load_task(arguments.task), config_of(arguments, "ppo_plus_plus@praise", 0)
    assert config == config_of(arguments, "ppo_plus_plus", 0), "the guide is no setting"
    found = {folder_of(a, task, config, guide) for a in (arguments, half) for guide in ("start", "praise")}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("name", "algorithm", "guide"),
    [("lols", "lols", None), ("lols@praise", "lols", "praise"), ("d2lols@examples", "d2lols", "examples")],
)
def test_a_name_says_the_algorithm_and_what_its_guide_reads(name: str, algorithm: str, guide: str | None) -> None:
    assert algorithm_and_guide(name) == (algorithm, guide)
    assert config_of(parsed([]), name, 0).algorithm.name == algorithm


def test_an_unknown_guide_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="no guide prose; say praise, examples"):
        algorithm_and_guide("ppo_plus_plus@prose")


def test_the_worked_examples_have_no_prompt_and_no_reference_of_their_task() -> None:
    task = load_task("concepts")
    own = {*task.prompts, *task.evaluation, *task.references.values()}
    examples = READ_FIRST["examples"].splitlines()
    assert len(examples) == 3
    for example in examples:
        words, _, sentence = example.partition(": ")
        assert not own & {f"{words}:", sentence}


@dataclass
class Recorded:
    """A writer who keeps what it was given."""

    given: list[Begun] = field(default_factory=list)

    def write(self, begun: Sequence[Begun]) -> list[tuple[int, ...]]:
        self.given.extend(begun)
        return [(7,) for _ in begun]


def test_a_guide_that_praises_reads_its_sentence_before_the_prompt_and_writes_after_it() -> None:
    writer = Recorded()
    assert Prefixed(writer, (1, 2)).write([Begun((3,), (4,), 5, ("key",))]) == [(7,)]
    assert writer.given == [Begun((1, 2, 3), (4,), 5, ("key",))]


def test_medians_of_both_sides_and_their_ratio_stand_beside_each_other() -> None:
    of_sides = {"ours": (1.0, 2.0, 4.0), "trl": (4.0, 4.0, 4.0)}
    found = [
        Measured(side, algorithm, 100, seconds, 5.0, 1.5)
        for side, times in of_sides.items()
        for algorithm in ("grpo", "rloo")
        for seconds in times
    ]
    told = beside_trl.page(found, Sizes("folder", 9, 16, 8), "a model")
    assert "| grpo, ours | 50 | 1.5 | 50 |" in told
    assert "| rloo, ours over TRL's | 2.00 | 1.00 | 1.00 |" in told
    assert "8 updates of 16 texts of at most 8 tokens" in told
    assert "3 processes a side" in told


def test_a_run_cut_short_tells_of_the_trainings_that_are_done() -> None:
    done = [outcome("ppo", 0, 0.1), outcome("ppo", 1, 0.3), outcome("lols", 0, 0.2)]
    assert "Reward of lols less that of ppo, seed by seed: 0.100." in page(done, {})
    assert "Reward of lols less that of ppo, seed by seed: no seed in common." in page(done[1:], {})


def test_d2lols_turns_to_ppo_plus_plus_after_as_many_updates_as_were_typed() -> None:
    algorithm = config_of(parsed(["--switch", "3"]), "d2lols@praise", 0).algorithm
    assert isinstance(algorithm, TokenD2LOLSConfig)
    assert algorithm.switch == 3


def test_rows_of_several_runs_are_a_page_for_each_settings() -> None:
    done = [outcome("ppo", 0, 0.1), outcome("lols", 0, 0.2), outcome("ppo", 0, 0.3)]
    settings = [{"tokens": 64}, {"tokens": 64}, {"tokens": 128}]
    rows = [json.dumps({**said, **asdict(one)}) for said, one in zip(settings, done, strict=True)]
    assert pages(rows) == [page(done[:2], settings[0]), page(done[2:], settings[2])]


def test_what_a_task_measures_besides_its_reward_has_columns() -> None:
    of_task = [replace(METRICS, task={"coverage": share}) for share in (0.25, 0.75)]
    told = page([replace(outcome("ppo", 0, 0.1), before=of_task[0], after=of_task[1])], {})
    results, _, _ = told.partition("## Curves")
    assert [row(results, name)[-1] for name in ("algorithm", "before", "ppo")] == ["coverage", "0.250", "0.750"]


@pytest.mark.parametrize("rows", ROWS, ids=lambda path: path.stem)
def test_the_tables_on_record_are_those_of_their_rows(rows: Path) -> None:
    told = rows.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    for made in pages(rows.read_text(encoding="utf-8").splitlines()):
        results, _, _ = made.partition("## Curves")
        assert [line for line in results.splitlines() if line.startswith("|") and line not in told] == []
