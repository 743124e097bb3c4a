"""One-step look-ahead."""

import asyncio
from collections import Counter

import pytest

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Purpose
from teams_dagster.environment.decisions import Decision
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.state import HORIZON, ChosenBy, EpisodeKey, EpisodePurpose
from teams_dagster.policy.baselines import LookAhead
from teams_dagster.policy.guide import Labelled
from teams_dagster.policy.look_ahead import LookAheadGuide
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds


def run(world, count=6, *, free=True, decider=None):
    plans = [
        EpisodePlan(EpisodeKey(0, EpisodePurpose.COMPARE, "look_ahead", "v", name), seed)
        for name, seed in topical_seeds(count).items()
    ]
    return asyncio.run(run_episodes(environment(world), decider or LookAhead(free=free), plans))


def test_it_finds_what_pays():
    for episode in run(ToyWorld(topical)):
        pays = next(operation for topic, operation in TOPICS.items() if topic in episode.states[0].seed.text)
        assert [t.operation for t in episode.transitions] == [pays] * HORIZON
        assert all(t.accepted and t.chosen_by is ChosenBy.LOOK_AHEAD for t in episode.transitions)


def test_with_free_questions_only_the_kept_operation_is_on_the_account():
    assert {episode.queries for episode in run(ToyWorld(topical))} == {2 * HORIZON}


def test_charged_it_pays_for_everything_it_tried():
    assert {episode.queries for episode in run(ToyWorld(topical), free=False)} == {2 * len(TEXT_OPERATIONS) * HORIZON}


def test_as_a_guide_that_is_followed_its_own_edit_is_paid_once():
    guide = LookAheadGuide(may_rest=True)
    assert {e.queries for e in run(ToyWorld(topical), decider=guide)} == {2 * len(TEXT_OPERATIONS) * HORIZON}


def test_as_a_label_all_that_it_asks_counts_beside_the_edit_that_is_made():
    """The learner rests, so every query is the label's."""

    class Resting:
        async def decide(self, environment, key, state, transition):
            return Decision(Operation.NONE, 1.0)

    labelled = Labelled(Resting(), LookAheadGuide(may_rest=True))
    for episode in run(ToyWorld(topical), decider=labelled):
        assert all(t.proposed is not None and t.queries == 0 for t in episode.transitions)
        assert episode.queries == 2 * len(TEXT_OPERATIONS) * HORIZON


def test_where_all_pay_alike_it_draws():
    chosen = Counter(t.operation for episode in run(ToyWorld(), 40) for t in episode.transitions)
    assert set(chosen) == set(TEXT_OPERATIONS)


def test_where_every_operation_loses_it_rests():
    for episode in run(ToyWorld(lambda before, operation: False)):
        assert {t.operation for t in episode.transitions} == {Operation.NONE}
        assert (episode.queries, episode.total_reward) == (0, 0)


def test_an_error_that_is_not_the_episodes_is_raised_as_it_is():
    class Broke(ToyWorld):
        async def ask(self, request, **options):
            raise LookupError("the budget is exhausted")

    with pytest.raises(LookupError, match="budget"):
        run(Broke())


def test_an_operation_that_gets_no_answer_is_passed_over():
    broken = ToyWorld(topical, fails=lambda request: request.intent.operation is Operation.BREADTH)
    assert all(episode.failed is None and episode.accepted == HORIZON for episode in run(broken))


def test_where_nothing_is_answered_the_episode_is_cut_short():
    broken = ToyWorld(fails=lambda request: request.intent.purpose is Purpose.REWRITE)
    assert all(episode.failed is not None and episode.transitions == () for episode in run(broken))
