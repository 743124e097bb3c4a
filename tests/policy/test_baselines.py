"""Policies that do not learn."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, GenericRewrite, Operation
from teams_dagster.core.protocol import Purpose
from teams_dagster.environment.decisions import Decider, Decision
from teams_dagster.environment.episodes import EpisodePlan, run_episode, run_episodes
from teams_dagster.environment.state import HORIZON, ChosenBy, EpisodeKey, EpisodePurpose, PastOperation, State
from teams_dagster.instructions.prompts import all_prompts
from teams_dagster.policy.baselines import (
    Fixed,
    ForcedSchedule,
    LookAhead,
    LookAheadGuide,
    baseline_names,
    baseline_version,
    baselines,
    is_deterministic,
)
from teams_dagster.policy.guide import Labelled
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds

OPERATIONS = tuple(Operation)
STATES = [
    State("s", (Instruction("Name a river"),), (PastOperation(Operation.BREADTH, False),) * step) for step in range(6)
]


ACTORS = {name: actor for name, actor in baselines().items() if not isinstance(actor, Decider)}


@pytest.mark.parametrize("name", ACTORS)
def test_every_baseline_that_asks_nobody_is_a_distribution(name):
    for state in STATES:
        assert ACTORS[name].probabilities(state).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name", [name for name in ACTORS if name != "uniform_with_none" and not name.startswith("lazy")]
)
def test_none_of_them_rests_but_those_that_are_named_for_it(name):
    for state in STATES:
        assert ACTORS[name].probabilities(state)[list(Operation).index(Operation.NONE)] == 0


def test_the_forced_schedule_takes_breadth_at_two_steps_and_nowhere_else():
    breadth = [float(ACTORS["forced_schedule"].probabilities(state)[0]) for state in STATES]
    assert breadth == [0, 1, 0, 0, 1, 0]
    np.testing.assert_allclose(ACTORS["forced_schedule"].probabilities(STATES[0]), [0, 2 / 6, *[1 / 6] * 4, 0])


def test_uniform_gives_the_six_operations_the_same_chance():
    np.testing.assert_allclose(ACTORS["uniform"].probabilities(STATES[0]), [1 / 6] * 6 + [0])


def test_round_robin_takes_each_operation_once_an_episode():
    taken = [int(ACTORS["round_robin"].probabilities(state).argmax()) for state in STATES]
    assert [list(Operation)[index] for index in taken] == list(TEXT_OPERATIONS)


@pytest.mark.parametrize("operation", TEXT_OPERATIONS)
def test_a_fixed_baseline_bears_its_operations_name(operation):
    baseline = ACTORS[operation.value]
    assert all(baseline.probabilities(state)[list(Operation).index(operation)] == 1 for state in STATES)
    assert is_deterministic(baseline)


@pytest.mark.parametrize(
    ("name", "first"), [("lazy_one_edit", ["add_constraints"]), ("lazy_two_edits", ["breadth", "add_constraints"])]
)
def test_a_lazy_baseline_rests_after_its_first_edits(name, first):
    taken = [list(Operation)[int(ACTORS[name].probabilities(state).argmax())].value for state in STATES]
    assert taken == [*first, *["none"] * (6 - len(first))]


def test_what_never_draws_does_the_same_every_time():
    alike = {name for name, actor in baselines().items() if is_deterministic(actor)}
    lazy = {"lazy_one_edit", "lazy_two_edits"}
    assert alike == {"round_robin", "generic_prompt", *lazy, *(operation.value for operation in TEXT_OPERATIONS)}


def test_every_baseline_has_a_version_of_its_own():
    assert len({baseline_version(name) for name in baseline_names()}) == len(baseline_names())


def test_the_generic_prompt_names_no_operation_and_is_reviewed_like_any_edit():
    world = ToyWorld()
    key = EpisodeKey(0, EpisodePurpose.COMPARE, "generic_prompt", "v", "s")
    plan = EpisodePlan(key, Instruction("Name a river"))
    episode = asyncio.run(run_episode(environment(world), baselines()["generic_prompt"], plan))
    rewrites = [request for request in world.requests if request.intent.purpose is Purpose.REWRITE]
    assert {request.intent.operation for request in rewrites} == {GenericRewrite.HARDER}
    assert all("Make this instruction harder" in request.messages[-1].content for request in rewrites)
    assert episode.queries == 2 * HORIZON
    assert {transition.row()["operation"] for transition in episode.transitions} == {"harder"}


def test_the_generic_prompt_is_none_of_the_datasets():
    assert "harder" not in {prompt.name for prompt in all_prompts()}


def test_a_policy_that_is_forced_chooses_itself_but_for_breadth():
    """Steps 1 and 4 are breadth; elsewhere the probability of breadth goes to add_constraints, and the others stay."""
    breadth, deepening = (ForcedSchedule(Fixed(operation)) for operation in (Operation.BREADTH, Operation.DEEPENING))
    chosen = [[OPERATIONS[int(actor.probabilities(s).argmax())] for s in STATES] for actor in (breadth, deepening)]
    forced, constraints, own = Operation.BREADTH, Operation.ADD_CONSTRAINTS, Operation.DEEPENING
    assert chosen[0] == [constraints, forced, constraints, constraints, forced, constraints]
    assert chosen[1] == [own, forced, own, own, forced, own]


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


@pytest.mark.slow
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
