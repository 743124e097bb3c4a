"""The benchmark of policy training: its arithmetic, its model, and one run of everything at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.policy import figures
from benchmarks.policy.growth import GrowthFigures
from benchmarks.policy.process import Cost
from benchmarks.policy.rollouts import BatchFigures, RolloutFigures
from benchmarks.policy.run import measure
from benchmarks.policy.scenarios import count, full_sizes, tiny_sizes
from benchmarks.policy.server import Served
from benchmarks.policy.world import InstantModel, answer, seeds
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Request, Role
from teams_dagster.instructions.elimination import eliminate_rewrite
from teams_dagster.instructions.requests import parse_rewrite, review_query, rewrite_query
from teams_dagster.instructions.review import Verdict, parse_verdict
from teams_dagster.llm import loop


def served(request: Request) -> str:
    """What the server says to a request."""
    return answer({"messages": [{"role": m.role, "content": m.content} for m in request.messages]})


def instantly(request: Request) -> str:
    """What the model in this process says to it."""
    return loop.run(InstantModel().ask(request)).completion.text


@pytest.mark.parametrize("operation", TEXT_OPERATIONS)
@pytest.mark.parametrize("seed", [Instruction("Sort these words."), Instruction("Sort.\nTwice.", "pear\n\nfig")])
def test_every_edit_is_in_its_format_and_new(operation: Operation, seed: Instruction) -> None:
    request = rewrite_query(Role.INSTRUCTOR, operation, seed)
    assert served(request) == instantly(request)
    edit = parse_rewrite(operation, seed, served(request))
    assert edit.text.startswith(seed.text)
    assert edit.input == seed.input
    assert len(edit.text.split()) >= len(seed.text.split()) + 10
    assert eliminate_rewrite(edit, [seed]) is None


def test_most_reviews_say_not_equal() -> None:
    seed = Instruction("Sort these words.")
    reviews = [review_query(seed, Instruction(f"{seed.text} Twice, {number}.")) for number in range(400)]
    assert [served(review) for review in reviews] == [instantly(review) for review in reviews]
    verdicts = [parse_verdict(served(review)) for review in reviews]
    assert verdicts.count(Verdict.EQUAL) == pytest.approx(50, abs=30)
    assert verdicts.count(Verdict.UNCLEAR) == 0


def test_seeds_differ() -> None:
    assert len(set(seeds(1_000).values())) == 1_000


def trained(rollout_s: float, latencies_s: tuple[float, ...] = (0.25,)) -> RolloutFigures:
    batch = BatchFigures(256, 1_536, 3_072, rollout_s, rollout_cpu_s=6.144, steady_s=0.8 * rollout_s)
    mean = sum(latencies_s) / len(latencies_s)
    return RolloutFigures(latencies_s, 64, [batch], Served(3_072, 3_072 * mean), 0.0)


def test_a_batch_that_keeps_every_slot_busy_is_ideal() -> None:
    assert figures.ideal_rate(trained(12.0)) == 128
    assert figures.shares(trained(12.0)).median == pytest.approx(1.0)
    assert figures.shares(trained(15.0)).median == pytest.approx(0.8)
    assert figures.steady_shares(trained(15.0)).median == pytest.approx(0.8)
    assert figures.rates(trained(12.0)).median == pytest.approx(128)
    assert figures.shares(trained(12.0, (0.15, 0.35))).median == pytest.approx(1.0)
    assert figures.cpu_ms_per_call(trained(12.0)) == pytest.approx(2.0)


def grown(transitions: int, cpu_s: float) -> GrowthFigures:
    return GrowthFigures(transitions // 6, transitions, cpu_s / 2, cpu_s / 2, Cost(cpu_s, cpu_s, 1.0, 0.0))


def test_growth_is_a_power_of_the_transitions() -> None:
    fixed = grown(60, 5.0)
    assert figures.exponent([fixed, grown(600, 1.0), grown(6_000, 10.0)]) == pytest.approx(1.0)
    assert figures.exponent([grown(600, 1.0), grown(6_000, 100.0)]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="two sizes"):
        figures.exponent([fixed])


def test_every_row_of_the_page_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "RESULTS.md"
    measure(output, tiny=True, scratch=tmp_path / "scratch")
    kept = [json.loads(line) for line in output.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(kept) == count(tiny_sizes()) < count(full_sizes())
    for batch in (batch for row in kept if row["rollouts"] for batch in row["rollouts"]["batches"]):
        assert batch["transitions"] == 6 * batch["episodes"]
        assert batch["sent"] <= 2 * batch["transitions"]
    assert all(row["costs"] for row in kept if row["update"])
    page = output.read_text(encoding="utf-8")
    assert "A trial run" in page
    for title in ("Goals", "Rollouts", "One update", "Growth", "Where we lose"):
        assert f"\n## {title}\n" in page
