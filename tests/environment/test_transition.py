"""One step of the decision process."""

import asyncio
import dataclasses

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Outcome, Purpose, Role, Usage
from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.environment.state import EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import start, step
from teams_dagster.instructions.elimination import Rule
from teams_dagster.instructions.review import Verdict
from teams_dagster.store.tables import TRANSITIONS
from tests.support.token_prices import generation_prices
from tests.support.toy_world import ToyWorld, appended, environment

SEED = Instruction("Explain how a violin makes sound", "some material")
KEY = EpisodeKey(0, EpisodePurpose.TRAIN, "trained", "v1", "seed-1", iteration=3)
PAPER = RewardConfig(preset=RewardPreset.PAPER)


def take(world, operation=Operation.DEEPENING, state=None, reward=None, key=KEY, role=Role.INSTRUCTOR):
    place = environment(world, reward, role)
    return asyncio.run(step(place, key, state or start("seed-1", SEED), operation, 0.25))


def test_none_asks_nothing_keeps_the_text_and_earns_nothing():
    world = ToyWorld()
    transition, state = take(world, Operation.NONE)
    assert not world.requests
    assert (transition.queries, transition.reward, transition.accepted) == (0, 0.0, False)
    assert state is not None
    assert state.instruction == SEED
    assert state.step == 1
    assert transition.row()["instruction_id"] == SEED.instruction_id


@pytest.mark.parametrize("operation", TEXT_OPERATIONS)
def test_an_accepted_edit_asks_twice_and_moves_the_chain(operation):
    world = ToyWorld()
    transition, state = take(world, operation)
    assert world.asked == {Purpose.REWRITE: 1, Purpose.REVIEW: 1}
    assert (transition.queries, transition.accepted, transition.verdict) == (2, True, Verdict.NOT_EQUAL)
    assert transition.reward == pytest.approx(1 - 2 * RewardConfig().price)
    assert state is not None
    assert state.chain == (SEED, transition.after)
    assert state.produced_by == transition.transition_id
    assert state.past[0].accepted


def test_a_rejected_edit_stays_at_its_parent_and_is_remembered():
    transition, state = take(ToyWorld(lambda before, operation: False))
    assert (transition.verdict, transition.accepted, transition.queries) == (Verdict.EQUAL, False, 2)
    assert transition.reward == pytest.approx(-2 * RewardConfig().price)
    assert transition.after is not None
    assert state is not None
    assert state.chain == (SEED,)
    assert state.produced_by is None
    assert state.past[0].operation is Operation.DEEPENING
    assert not state.past[0].accepted


def test_preset_paper_continues_from_a_rejected_edit():
    transition, state = take(ToyWorld(lambda before, operation: False), reward=PAPER)
    assert transition.reward == 0.0
    assert state is not None
    assert state.instruction == transition.after
    assert state.produced_by == transition.transition_id


@pytest.mark.parametrize("reward", [None, PAPER])
def test_a_text_that_returns_to_an_earlier_one_is_eliminated_before_it_is_reviewed(reward):
    world = ToyWorld(reply=lambda before, operation: SEED.text)
    middle = Instruction("Something else entirely about quiet rivers", SEED.input)
    state = dataclasses.replace(start("seed-1", SEED), chain=(SEED, middle))
    transition, after = take(world, state=state, reward=reward)
    assert transition.eliminated_by is Rule.RETURNED
    assert (transition.queries, transition.accepted) == (1, False)
    assert world.asked[Purpose.REVIEW] == 0
    assert after is not None
    assert after.instruction == middle


def test_a_refusal_in_words_is_no_rewrite_and_is_not_reviewed():
    world = ToyWorld(reply=lambda before, operation: "I'm sorry, but I can't help with that.")
    transition, state = take(world)
    assert (transition.eliminated_by, transition.accepted, transition.queries) == (Rule.SHORT_APOLOGY, False, 1)
    assert world.asked[Purpose.REVIEW] == 0
    assert state is not None
    assert state.chain == (SEED,)


def test_a_reply_that_breaks_its_format_is_eliminated_by_name():
    transition, state = take(ToyWorld(reply=lambda before, operation: "Here you go!"), Operation.BREADTH)
    assert (transition.eliminated_by, transition.after) == (Rule.MALFORMED_REPLY, None)
    assert state is not None
    assert state.instruction == SEED


@pytest.mark.parametrize(("outcome", "rule"), [(Outcome.REFUSAL, Rule.REFUSED), (Outcome.TRUNCATED, Rule.TRUNCATED)])
def test_an_unusable_rewrite_is_eliminated_by_its_outcome(outcome, rule):
    transition, _ = take(ToyWorld(outcome=outcome))
    assert (transition.eliminated_by, transition.queries, transition.verdict) == (rule, 1, None)


def test_an_unreadable_verdict_is_unclear_not_accepted_and_counted():
    transition, state = take(ToyWorld(verdict="Both are fine."))
    assert (transition.verdict, transition.accepted, transition.queries) == (Verdict.UNCLEAR, False, 2)
    assert state is not None
    assert state.chain == (SEED,)


@pytest.mark.parametrize(("purpose", "queries"), [(Purpose.REWRITE, 1), (Purpose.REVIEW, 2)])
def test_a_question_that_fails_for_good_ends_the_episode_with_its_cause(purpose, queries):
    world = ToyWorld(fails=lambda request: request.intent.purpose is purpose)
    transition, state = take(world)
    assert state is None
    assert transition.failure == f"{purpose.value}: server: toy failure"
    assert (transition.queries, transition.reward, transition.accepted) == (queries, 0.0, False)


def test_the_rewriter_is_asked_for_its_replica_and_the_reviewer_for_the_first():
    world = ToyWorld()
    take(world, key=dataclasses.replace(KEY, replica=4), role=Role.EXPERT)
    rewrite, review = world.requests
    assert (rewrite.role, rewrite.replica) == (Role.EXPERT, 4)
    assert (review.role, review.replica) == (Role.REVIEWER, 0)


def test_chains_follow_transition_ids():
    world = ToyWorld()
    first, state = take(world)
    second, _ = take(world, Operation.CONCRETIZING, state)
    assert first.parent_transition_id is None
    assert second.parent_transition_id == first.transition_id
    assert second.before == first.after
    assert second.episode_id == first.episode_id
    assert second.transition_id != first.transition_id


def test_the_same_step_has_the_same_name_and_another_reward_or_model_gives_another_episode():
    names = {
        take(ToyWorld())[0].transition_id,
        take(ToyWorld(lambda before, operation: False))[0].transition_id,
        take(ToyWorld(reply=appended))[0].transition_id,
    }
    assert len(names) == 1
    assert take(ToyWorld(), reward=PAPER)[0].transition_id not in names
    assert take(ToyWorld(), role=Role.EXPERT)[0].transition_id not in names


def test_a_row_holds_every_column_that_table_transitions_promises():
    promised = """transition_id parent_transition_id episode_id seed_id purpose iteration partition_key step operation
        probability policy_version parent_id instruction_id rewrite_request_id review_request_id prompt_version
        pool_version verdict eliminated_by reward accepted reward_preset""".split()
    row = take(ToyWorld())[0].row()
    assert set(promised) <= set(row)
    assert (row["purpose"], row["iteration"], row["operation"], row["verdict"]) == (
        "train",
        3,
        "deepening",
        "not_equal",
    )


def test_a_row_holds_what_its_table_declares_but_for_what_only_the_writer_knows():
    known_to_the_writer = {"sample_id", "run_id", ROW_HASH}
    assert set(take(ToyWorld())[0].row()) == set(TRANSITIONS.schema.names) - known_to_the_writer


def test_a_transition_is_changed_as_any_dataclass_is_and_stays_as_it_was():
    transition, _ = take(ToyWorld())
    before = dataclasses.asdict(transition)
    changed = transition.changed(queries=7, failure="x")
    assert changed == dataclasses.replace(transition, queries=7, failure="x")
    assert hash(changed) == hash(dataclasses.replace(transition, queries=7, failure="x"))
    assert dataclasses.asdict(transition) == before
    with pytest.raises(TypeError, match="a transition has no query"):
        transition.changed(query=7)


def test_under_dollars_the_tokens_of_rewrite_and_review_are_paid():
    """1,000 nano-dollars a token of the rewrite's 30, nothing for the reviewer's, and an edit is worth $0.0001."""
    prices = generation_prices((1_000, 1_000))
    dollars = DollarReward(prices=prices, edit_worth_usd=0.0001)
    world = ToyWorld(usage=lambda request: Usage(20, 0, 10) if request.intent.purpose is Purpose.REWRITE else Usage())
    reward = RewardConfig(preset=RewardPreset.DOLLARS, dollars=dollars)
    transition, _ = take(world, Operation.DEEPENING, reward=reward)
    assert transition.accepted
    assert transition.reward == pytest.approx(1 - 30_000 / 100_000)
    assert transition.reward_preset == "dollars"
