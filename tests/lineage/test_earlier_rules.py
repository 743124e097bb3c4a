"""Replaying what earlier versions of the rules let through, or measured otherwise: counted, and no tampering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import GivenAnswer, Sample
from teams_dagster.environment import reward
from teams_dagster.environment.episodes import EpisodePlan, stream_episodes
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.instructions import elimination
from teams_dagster.instructions.novelty import Measure, similarity_as_written, similarity_of_words
from teams_dagster.lineage.replay import replay_samples, replay_transitions
from teams_dagster.policy.baselines import Uniform
from teams_dagster.store.integrity import Verification
from tests.support.toy_world import ToyWorld, appended, environment

SEED = Instruction("Name a river of the north")


def declining(before: Instruction, operation: Any) -> str:
    return "I'm sorry, but I can't help with that."


def adorned(before: Instruction, operation: Any) -> str:
    return appended(before, operation).replace("river", "rïver")


def dressed(before: Instruction, operation: Any) -> str:
    """Words are added, and most of what seems new is the others in digits."""
    return appended(before, operation).replace("Name a river of the north", "N4m3 a r1v3r 0f th3 n0rth")


def played(reply: Callable[..., str]) -> tuple[list[EpisodePlan], list[dict[str, Any]]]:
    """Episodes whose rewrites are what `reply` says, as the rules of now make rows of them."""
    plans = [EpisodePlan(EpisodeKey(number, EpisodePurpose.GENERATE, "u", "v", "s"), SEED) for number in range(4)]

    async def rows() -> list[dict[str, Any]]:
        episodes = stream_episodes(environment(ToyWorld(reply=reply)), Uniform(), plans)
        return [dict(transition.row()) async for episode in episodes for transition in episode.recorded]

    return plans, asyncio.run(rows())


def verified(reply: Callable[..., str], plans: list[EpisodePlan], rows: list[dict[str, Any]]) -> Verification:
    found = Verification()
    world = environment(ToyWorld(reply=reply))
    asyncio.run(replay_transitions(world, Uniform(), plans, rows, found, progress=lambda _: None))
    return found


def counted(found: Verification) -> int:
    return sum(rows for reason, rows in found.not_verified.items() if "earlier version of this code" in reason)


def test_a_rewrite_that_declines_was_once_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(elimination, "_is_apology", lambda text, instruction=None: False)
        plans, rows = played(declining)
    assert any(row["accepted"] for row in rows)
    found = verified(declining, plans, rows)
    assert found.differences == []
    assert counted(found) > 0


@pytest.mark.parametrize(
    ("reply", "measure"), [(adorned, similarity_as_written), (dressed, similarity_of_words)], ids=["accents", "digits"]
)
def test_what_says_nothing_was_once_new(
    monkeypatch: pytest.MonkeyPatch, reply: Callable[..., str], measure: Measure
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(reward, "similarity", measure)
        plans, rows = played(reply)
    found = verified(reply, plans, rows)
    assert found.differences == []
    assert counted(found) > 0


@pytest.mark.parametrize("column", ["novelty", "reward"])
def test_another_figure_than_any_version_gives_is_a_difference(column: str) -> None:
    plans, rows = played(adorned)
    changed = next(row for row in rows if row["accepted"])
    changed[column] += 0.125
    assert [found.column for found in verified(adorned, plans, rows).differences] == [column]


def answered(*given: tuple[str, str | None]) -> Sample:
    """A sample of several answers, each with the rule that it breaks; its own is the first that breaks none."""
    answers = tuple(GivenAnswer(text, f"r{number}", reason) for number, (text, reason) in enumerate(given))
    own = next((each for each in answers if each.reason is None), answers[0])
    return Sample(
        sample_id="s",
        transition_id="t",
        episode_id="e",
        step=0,
        partition_key="p",
        seed_id="seed",
        instruction=SEED,
        response=own.response,
        respond_request_id=own.respond_request_id,
        accepted=own.reason is None,
        reason=own.reason,
        answers=answers,
    )


def replayed(now: Sample, stored: Sample) -> Verification:
    async def samples() -> AsyncIterator[Sample]:
        yield now

    found = Verification()
    asyncio.run(replay_samples(samples(), [stored.row()], found, answers=stored.answer_rows()))
    return found


def test_of_several_answers_one_that_was_once_refused_is_no_difference() -> None:
    """The sample then has another answer as its own."""
    stored = answered(("... --- ...", "meaningless"), ("SOS", None))
    found = replayed(answered(("... --- ...", None), ("SOS", None)), stored)
    assert found.differences == []
    assert counted(found) == 2


def test_an_answer_with_another_text_is_a_difference_all_the_same() -> None:
    found = replayed(answered(("SOS", None), ("Help", None)), answered(("SOS", None), ("Go", None)))
    assert [(found.table, found.column) for found in found.differences] == [("sample_answers", "response")]
