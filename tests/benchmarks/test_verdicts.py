"""Reviewers with a known liking for one place, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.policy.leaning import Leaning
from benchmarks.policy.position_bias import PositionBias, position_bias, row
from benchmarks.policy.verdicts import PRESETS, VARIANTS, Played, answered, play
from benchmarks.policy.world import seeds
from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Completion, ModelIdentity, Outcome, Request
from teams_dagster.environment.reward import RewardPreset
from teams_dagster.instructions.requests import review_query
from teams_dagster.instructions.review import BothOrders, Review, Verdict, read_review

SHORT, LONG = Instruction("Name three rivers."), Instruction("Name three rivers that flow through two countries.")


class Certain:
    """A reviewer that says Not Equal with the same probability of every pair, and counts."""

    identity = ModelIdentity("toy", "certain")

    def __init__(self, probability: float | None) -> None:
        self._probability = probability
        self.asked = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        if self._probability is None:
            return Completion("Perhaps.", "stop", Outcome.USABLE)
        verdict = "Not Equal" if self._probability >= 0.5 else "Equal"
        shares = {"Equal": 1 - self._probability, "Not Equal": self._probability}
        return Completion(verdict, "stop", Outcome.USABLE, probabilities=shares)

    async def close(self) -> None:
        pass


def review(reviewer: Leaning, first: Instruction, second: Instruction) -> Review:
    said = asyncio.run(reviewer.complete(review_query(first, second)))
    return read_review(said.text, said.probabilities)


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.45, 0.55, 1.0])
def test_not_equal_is_likelier_by_the_lean_where_the_longer_text_stands_first(probability: float) -> None:
    reviewer = Leaning(Certain(probability), 0.2)
    longer_first, shorter_first = (review(reviewer, *texts).probability for texts in ((LONG, SHORT), (SHORT, LONG)))
    assert shorter_first is not None
    assert longer_first == pytest.approx(shorter_first + 0.2)


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.45, 0.55, 1.0])
def test_both_orders_give_the_verdict_of_the_reviewer_that_does_not_lean(probability: float) -> None:
    reviewer = Leaning(Certain(probability), 0.2)
    both = BothOrders(review(reviewer, SHORT, LONG), review(reviewer, LONG, SHORT)).together
    assert both.verdict is (Verdict.NOT_EQUAL if probability >= 0.5 else Verdict.EQUAL)
    assert both.probability == pytest.approx(0.8 * probability + 0.1)


def test_one_order_alone_gives_another_verdict_near_the_middle() -> None:
    reviewer = Leaning(Certain(0.55), 0.2)
    assert review(reviewer, SHORT, LONG).verdict is Verdict.EQUAL
    assert review(reviewer, LONG, SHORT).verdict is Verdict.NOT_EQUAL


def test_texts_of_one_length_are_reviewed_without_a_lean() -> None:
    assert review(Leaning(Certain(0.3), 0.2), SHORT, SHORT).probability == pytest.approx(0.8 * 0.3 + 0.1)


def test_a_reply_without_a_verdict_stays_one() -> None:
    assert review(Leaning(Certain(None), 0.2), SHORT, LONG) == Review(Verdict.UNCLEAR)


def test_a_leaning_reviewer_is_another_model_on_the_ledger() -> None:
    assert len({Leaning(Certain(0.5), lean).identity for lean in (0.1, 0.2)} | {Certain.identity}) == 3


def played(reviewer: Leaning, path: Path) -> dict[str, Played]:
    async def work() -> dict[str, Played]:
        async with answered(reviewer, path) as client:
            return await play(client, RewardPreset.GRADED, seeds(6), 1)

    return asyncio.run(work())


@pytest.fixture(scope="module")
def bias(tmp_path_factory: pytest.TempPathFactory) -> PositionBias:
    found = played(Leaning(Certain(0.55), 0.2), tmp_path_factory.mktemp("verdicts") / "ledger.sqlite")
    return position_bias(found["both orders"].episodes)


def test_the_lean_is_found_again(bias: PositionBias) -> None:
    assert bias.pairs > 5
    assert bias.longer_first.value == pytest.approx(0.2)
    assert bias.turned.value == 1.0


def test_what_both_orders_change_is_told(bias: PositionBias) -> None:
    """An edit is mostly longer than its parent, so its own order says Equal; the mean is above one half."""
    assert bias.changed.value == pytest.approx(1.0, abs=0.2)


def test_the_row_has_every_figure_with_its_interval(bias: PositionBias) -> None:
    assert row("leaning", bias).count("(") >= 4
    assert "+0.200" in row("leaning", bias)


def test_a_measurement_that_was_interrupted_goes_on_from_its_ledger(tmp_path: Path) -> None:
    first, again = Certain(0.55), Certain(0.55)
    before = played(Leaning(first, 0.2), tmp_path / "ledger.sqlite")
    after = played(Leaning(again, 0.2), tmp_path / "ledger.sqlite")
    assert (first.asked > 0, again.asked) == (True, 0)
    assert [before[name].queries for name in VARIANTS] == [after[name].queries for name in VARIANTS]


def test_a_reviewer_that_gives_no_probability_is_not_studied(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pair has a probability in both orders"):
        position_bias(played(Leaning(OfflineModel(), 0.2), tmp_path / "ledger.sqlite")["both orders"].episodes)


def test_every_preset_that_is_studied_by_default_can_be_played(tmp_path: Path) -> None:
    async def work() -> None:
        async with answered(Leaning(Certain(0.55), 0.2), tmp_path / "ledger.sqlite") as client:
            for preset in PRESETS:
                assert await play(client, preset, seeds(2), 1)

    asyncio.run(work())
