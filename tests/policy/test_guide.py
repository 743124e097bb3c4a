"""The guide as an actor."""

import asyncio

import pytest

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Completion, Outcome, Purpose
from teams_dagster.environment.decisions import Actor, Decider, Drawing
from teams_dagster.environment.episodes import EpisodePlan, run_episode, run_episodes
from teams_dagster.environment.state import HORIZON, ChosenBy, EpisodeKey, EpisodePurpose
from teams_dagster.policy.baselines import Fixed
from teams_dagster.policy.guide import Guide, Labelled
from tests.support.toy_world import ToyWorld, environment, topical_seeds

GUIDE = Guide(TEXT_OPERATIONS)


def plans(count=1, **changes):
    fields = {"root_seed": 0, "purpose": EpisodePurpose.COMPARE, "policy": "guide", "policy_version": "v"} | changes
    return [EpisodePlan(EpisodeKey(**fields, seed_id=name), seed) for name, seed in topical_seeds(count).items()]


def run(world, decider: Actor | Decider = GUIDE, plan=None):
    return asyncio.run(run_episode(environment(world), decider, plan or plans()[0]))


def guide_questions(world):
    return [request for request in world.requests if request.intent.purpose is Purpose.GUIDE]


def test_it_does_what_the_guide_names_and_counts_the_question():
    episode = run(ToyWorld(guide=lambda request: "Deepening."))
    assert {t.operation for t in episode.transitions} == {Operation.DEEPENING}
    assert all(t.chosen_by is ChosenBy.GUIDE and t.proposed is Operation.DEEPENING for t in episode.transitions)
    assert [t.guidance_queries for t in episode.transitions] == [1] * HORIZON
    assert episode.queries == 3 * HORIZON


def test_a_reward_does_not_pay_for_the_guides_questions():
    asked = run(ToyWorld(guide=lambda request: "deepening"))
    alone = run(ToyWorld(), Fixed(Operation.DEEPENING))
    assert [t.reward for t in asked.transitions] == [t.reward for t in alone.transitions]


def test_an_answer_that_cannot_be_read_is_asked_once_more_as_another_replica():
    world = ToyWorld(guide=lambda request: "well" if request.replica == 0 else "breadth")
    first = run(world).transitions[0]
    assert (first.operation, first.chosen_by, first.guidance_queries) == (Operation.BREADTH, ChosenBy.GUIDE, 2)
    assert [request.replica for request in guide_questions(world)[:2]] == [0, 1]
    assert first.unread_request_id is not None
    assert first.unread_request_id != first.guide_request_id


def test_then_the_operation_is_drawn_uniformly_and_is_nobodys_word():
    world = ToyWorld(guide=lambda request: "do as you like")
    episodes = asyncio.run(run_episodes(environment(world), GUIDE, plans(60)))
    transitions = [t for episode in episodes for t in episode.transitions]
    assert all(t.chosen_by is ChosenBy.FALLBACK and t.proposed is None for t in transitions)
    assert all(t.probability == pytest.approx(1 / 6) for t in transitions)
    shares = [sum(t.operation is operation for t in transitions) / len(transitions) for operation in TEXT_OPERATIONS]
    assert all(0.1 < share < 0.24 for share in shares)
    assert run(world).transitions == episodes[0].transitions


def test_a_refusal_that_names_an_operation_is_no_answer():
    class Refusing(ToyWorld):
        async def ask(self, request, **options):
            answer = await super().ask(request, **options)
            if request.intent.purpose is Purpose.GUIDE:
                object.__setattr__(answer, "completion", Completion("breadth", "stop", Outcome.REFUSAL))
            return answer

    assert run(Refusing(guide=lambda request: "breadth")).transitions[0].chosen_by is ChosenBy.FALLBACK


def test_a_guide_that_does_not_answer_cuts_the_episode_short():
    world = ToyWorld(guide=lambda request: "breadth", fails=lambda request: request.intent.purpose is Purpose.GUIDE)
    episode = run(world)
    assert episode.transitions == ()
    assert episode.failed is not None
    assert episode.failed.failure == "guide: server: toy failure"
    assert episode.queries == 1


def test_a_guide_that_may_rest_can_rest():
    episode = run(ToyWorld(guide=lambda request: "none"), Guide(tuple(Operation)))
    assert {t.operation for t in episode.transitions} == {Operation.NONE}


def test_labels_are_the_guides_word_on_states_where_somebody_else_acts():
    world = ToyWorld(guide=lambda request: "breadth")
    episode = run(world, Labelled(Drawing(Fixed(Operation.DEEPENING)), GUIDE))
    for transition in episode.transitions:
        assert (transition.operation, transition.chosen_by) == (Operation.DEEPENING, ChosenBy.POLICY)
        assert (transition.proposed, transition.guidance_queries) == (Operation.BREADTH, 1)


def test_a_label_that_cannot_be_read_is_no_label():
    episode = run(ToyWorld(guide=lambda request: "?"), Labelled(Drawing(Fixed(Operation.DEEPENING)), GUIDE))
    assert all(transition.proposed is None for transition in episode.transitions)
