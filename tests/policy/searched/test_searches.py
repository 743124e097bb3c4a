"""Rules that are searched on the training seeds."""

import asyncio

import pytest

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.environment.state import PastOperation, State
from teams_dagster.policy.baselines import Fixed
from teams_dagster.policy.searched.searches import (
    SEARCHES,
    Arms,
    Table,
    row_of,
    search_bandit,
    search_open_loop,
    search_table,
)
from teams_dagster.policy.searched.trial import Trial
from tests.support.toy_world import ToyWorld, environment, topical_seeds

SEEDS = topical_seeds(40)


def trial(world, queries=1_500, allowed=tuple(Operation), root_seed=0, sink=lambda number, episodes: None):
    return Trial(environment(world), SEEDS, "searched", root_seed, queries, allowed, 0.9, sink, lambda episode: None)


def words_added(before):
    return len(before.text.split()) - len(next(iter(SEEDS.values())).text.split())


IN_TURN = ToyWorld(lambda before, operation: operation is TEXT_OPERATIONS[words_added(before) // 10 % 6])
"""Pays for the operations in their order: the next one only once the one before it was accepted."""

ONE_PAYS = ToyWorld(lambda before, operation: operation is Operation.DEEPENING)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_asks_no_more_than_a_batch_beyond_what_a_training_asked(name):
    tried = trial(ToyWorld(), queries=2_000)
    asyncio.run(SEARCHES[name](tried))
    assert 1_000 < tried.asked < 2_000 + 32 * 12


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_the_operation_that_always_pays(name):
    found = asyncio.run(SEARCHES[name](trial(ONE_PAYS)))
    state = State("s", (SEEDS["seed-0000"],))
    assert list(Operation)[int(found.probabilities(state).argmax())] is Operation.DEEPENING


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_root_seed_finds_the_same(name):
    first, second = (asyncio.run(SEARCHES[name](trial(ToyWorld(), queries=600))) for _ in range(2))
    state = State("s", (SEEDS["seed-0000"],))
    assert first.probabilities(state).tolist() == second.probabilities(state).tolist()


@pytest.mark.parametrize("name", SEARCHES)
def test_what_was_found_has_the_version_of_its_content(name):
    found, again, other = (
        asyncio.run(SEARCHES[name](trial(world, queries=600))) for world in (ToyWorld(), ToyWorld(), ONE_PAYS)
    )
    assert found.version == again.version != other.version


def test_tables_of_as_many_rows_have_versions_of_their_own():
    one, other = Table(TEXT_OPERATIONS), Table(TEXT_OPERATIONS)
    for table, world in ((one, ToyWorld()), (other, ToyWorld(lambda before, operation: False))):
        actor, plan = Fixed(Operation.DEEPENING), trial(world).plans(1)
        for episode in asyncio.run(trial(world).play(actor, plan)):
            table.learn(episode, 0.9)
    assert str(one) == str(other)
    assert one.version != other.version


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_ends_where_resting_is_best(name):
    assert asyncio.run(SEARCHES[name](trial(ToyWorld(lambda before, operation: False), queries=400)))


def test_the_sequence_searched_is_the_order_that_pays():
    assert asyncio.run(search_open_loop(trial(IN_TURN))).operations == TEXT_OPERATIONS


def test_a_table_tells_what_was_refused_from_what_was_not_tried():
    seed = SEEDS["seed-0000"]
    refused, accepted = (State("s", (seed,), (PastOperation(Operation.BREADTH, result),)) for result in (False, True))
    assert len({row_of(refused), row_of(accepted), row_of(State("s", (seed,)))}) == 3


def test_a_table_draws_and_gives_what_pays_more_than_half():
    found = asyncio.run(search_table(trial(ONE_PAYS)))
    chances = found.probabilities(State("s", (SEEDS["seed-0000"],)))
    assert 0.5 < chances[list(Operation).index(Operation.DEEPENING)] < 1


def test_only_what_is_allowed_is_chosen():
    chosen = []
    sink = lambda number, episodes: chosen.extend(t.operation for e in episodes for t in e.transitions)  # noqa: E731
    for search in SEARCHES.values():
        asyncio.run(search(trial(ToyWorld(), queries=300, allowed=TEXT_OPERATIONS[:2], sink=sink)))
    assert set(chosen) == set(TEXT_OPERATIONS[:2])


def test_a_bandit_tries_every_arm_before_it_prefers_one():
    arms = Arms(TEXT_OPERATIONS)
    first = arms.choices(len(TEXT_OPERATIONS))
    assert {operations[0] for operations in first} == set(TEXT_OPERATIONS)


def test_a_bandits_batch_counts_its_own_choices():
    arms = Arms(TEXT_OPERATIONS)
    for operation in TEXT_OPERATIONS:
        arms.pay(0, operation, 0.5)
    assert {operations[0] for operations in arms.choices(6)} == set(TEXT_OPERATIONS)


def test_a_bandit_ignores_what_was_accepted_before():
    operations = asyncio.run(search_bandit(trial(ONE_PAYS, queries=900))).operations
    assert operations == (Operation.DEEPENING,) * 6
