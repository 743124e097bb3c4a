"""Policies compared on seeds they never met."""

import asyncio
import dataclasses

import numpy as np
import pytest

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.environment.decisions import Decider
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.policy.baselines import Fixed, Uniform, baselines
from teams_dagster.policy.comparison.compare import ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
from teams_dagster.policy.comparison.scores import METRICS
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds

HELD_OUT = topical_seeds(24, "held")
FEW = topical_seeds(6, "held")
"""For policies that ask much in order to choose."""
CONFIG = ComparisonConfig(resamples=500, questions_per_seed=36)


class Knowing:
    """Reads the topic: the best policy of the topical world."""

    def probabilities(self, state):
        pays = next(pays for topic, pays in TOPICS.items() if topic in state.instruction.text)
        return np.array([float(operation is pays) for operation in Operation])


class Lazy:
    """Asks nothing but for the first step."""

    def probabilities(self, state):
        return Knowing().probabilities(state) if state.step == 0 else Fixed(Operation.NONE).probabilities(state)


PLAIN = [name for name, actor in baselines().items() if not isinstance(actor, Decider)]


def run(trained, world=None, seeds=HELD_OUT, trained_on=(), names=PLAIN, reward=None, config=CONFIG, **options):
    deployed = Contender("trained", tuple(trained), tuple(f"v{index}" for index, _ in enumerate(trained)))
    place = environment(world or ToyWorld(topical), reward)
    compared = [deployed, *baseline_contenders(names)]
    return asyncio.run(
        compare(place, compared, seeds, config, trained_on=trained_on, progress=lambda text: None, **options)
    )


@pytest.fixture(scope="module")
def result():
    """The best policy against every baseline that asks nothing in order to choose."""
    return run([Knowing()])


def test_identical_policies_differ_by_exactly_nothing():
    result = run([Uniform()], names=[])
    for metric in METRICS:
        score = result.score("trained", f"{metric}_minus_uniform")
        assert (score.mean, score.ci_low, score.ci_high) == (0.0, 0.0, 0.0)
    assert result.score("trained", "accepted_per_query_over_uniform").mean == 1.0


def test_a_better_policy_is_above_uniform_and_every_other_baseline(result):
    for metric in ("return", "accepted_per_query", "accepted_per_episode"):
        assert result.score("trained", f"{metric}_minus_uniform").ci_low > 0
        assert all(result.score("trained", f"{metric}_minus_{name}").ci_low > 0 for name in PLAIN)
    best = result.score("trained", "accepted_per_query")
    assert best.mean == best.ci_low == best.ci_high == 0.5
    assert result.score("trained", "accepted_per_episode").mean == 6


def test_stopping_early_wins_per_query_and_loses_per_episode():
    result = run(
        [Lazy()],
        names=[],
        world=ToyWorld(lambda before, operation: operation in TEXT_OPERATIONS[:3]),
    )
    assert result.score("trained", "accepted_per_episode_minus_uniform").ci_high < 0


def test_every_baseline_has_every_metric(result):
    assert {score.policy for score in result.scores} == {"trained", *PLAIN}
    for name in result.tallies:
        for metric in METRICS:
            assert result.score(name, metric).ci_low <= result.score(name, metric).mean + 1e-9


def test_a_mean_is_the_total_accepted_over_the_total_queries(result):
    for name in ("uniform", "round_robin"):
        found, total = result.results[name], result.tallies[name]
        expected = found.accepted.sum() / found.queries.sum()
        assert result.score(name, "accepted_per_query").mean == pytest.approx(expected)
        assert expected == pytest.approx(total.accepted_per_query)
        assert result.score(name, "return").mean == pytest.approx(total.mean_return)


def test_every_policy_asks_the_same_number_of_questions(result):
    resting = {"uniform_with_none", "lazy_one_edit", "lazy_two_edits"}
    assert {name: found.queries.sum() for name, found in result.results.items() if name not in resting} == {
        name: 24 * 36 for name in result.results if name not in resting
    }


def test_a_policy_that_stops_early_shows_it_by_the_share_of_its_allowance(result):
    assert result.score("round_robin", "allowance_used").mean == 1
    assert result.score("lazy_one_edit", "allowance_used").mean == pytest.approx(1 / 3)
    assert result.score("lazy_two_edits", "allowance_used").mean == pytest.approx(2 / 3)


def test_what_a_policy_asks_in_order_to_choose_is_on_its_account():
    result = run([Knowing()], names=["guide", "look_ahead", "look_ahead_free"], world=guided(), seeds=FEW)
    assert result.score("look_ahead_free", "accepted_per_query").mean == 0.5
    assert result.score("look_ahead", "accepted_per_query").mean == pytest.approx(1 / 12)
    assert result.score("look_ahead", "accepted_per_episode").mean == 6
    assert result.score("guide", "accepted_per_query").mean == pytest.approx(1 / 3)
    assert all(found.queries.sum() == len(FEW) * 36 for found in result.results.values())


def guided():
    """A world whose guide knows what pays."""

    def named(request):
        return next(pays for topic, pays in TOPICS.items() if topic in request.intent.before.text).value

    return ToyWorld(topical, guide=named)


def test_the_share_of_the_gap_to_the_ceiling_is_one_for_the_best_and_nothing_for_uniform():
    best = run([Knowing()], names=["look_ahead_free"], seeds=FEW)
    uniform = run([Uniform()], names=["look_ahead_free"], seeds=FEW)
    for metric in ("return", "accepted_per_query", "accepted_per_episode"):
        assert best.score("trained", f"{metric}_share_of_gap").mean == pytest.approx(1)
        assert uniform.score("trained", f"{metric}_share_of_gap").mean == pytest.approx(0)


def test_edits_that_were_found_before_are_not_counted_as_distinct():
    result = run([Knowing()], names=["round_robin"])
    for name in ("trained", "round_robin"):
        once = result.score(name, "accepted_per_query").mean / 3
        assert result.score(name, "distinct_accepted_per_query").mean == pytest.approx(once)


def test_the_mix_of_operations_adds_up(result):
    for name in result.tallies:
        shares = [result.score(name, f"share_of_{operation.value}").mean for operation in Operation]
        assert sum(shares) == pytest.approx(1)
    assert result.score("deepening", "share_of_deepening").mean == 1


@pytest.mark.slow
def test_an_interval_covers_a_difference_that_is_luck_alone():
    """A text takes any operation or none, by a coin. How often intervals cover it, `make soak` counts."""
    assert sum(covers_nothing(number) for number in range(5)) >= 4


def covers_nothing(number):
    """Whether the interval of the difference between two policies holds 0 in the world of this number."""
    world = ToyWorld(lambda before, operation: hash_coin(before.text, number))
    result = run([Fixed(Operation.DEEPENING)], world=world, names=[], seeds=topical_seeds(20, f"x{number}"))
    score = result.score("trained", "accepted_per_query_minus_uniform")
    return score.ci_low <= 0 <= score.ci_high


def hash_coin(*key):
    from teams_dagster.core.rng import uniform

    return uniform(*key) < 0.5


def test_several_training_seeds_widen_the_interval_when_they_differ():
    alike = run([Knowing(), Knowing(), Knowing()], names=[]).score("trained", "accepted_per_query")
    mixed = run([Knowing(), Uniform(), Uniform()], names=[]).score("trained", "accepted_per_query")
    assert alike.ci_high - alike.ci_low == 0
    assert mixed.ci_high - mixed.ci_low > 0.2
    assert mixed.training_seeds == 3
    assert mixed.policy_version == "v0"


def test_a_saturated_world_has_a_flat_reward():
    assert run([Uniform()], world=ToyWorld(), names=[]).flat_reward
    assert run([Uniform()], world=ToyWorld(), names=[], reward=RewardConfig(preset=RewardPreset.PAPER)).flat_reward
    assert not run([Uniform()], names=[]).flat_reward


def test_a_policy_that_asks_nothing_has_no_yield_and_no_error():
    result = run([Fixed(Operation.NONE)], names=[])
    assert result.score("trained", "accepted_per_query").mean == 0.0
    assert result.tallies["trained"].queries == 0
    assert result.tallies["trained"].episodes == 24 * 6


def test_where_uniform_has_nothing_no_ratio_is_reported():
    result = run([Uniform()], world=ToyWorld(lambda before, operation: False), names=[])
    with pytest.raises(KeyError):
        result.score("trained", "accepted_per_query_over_uniform")


@pytest.mark.slow
def test_in_both_orders_accepted_per_query_is_at_most_a_third():
    always = ToyWorld(reviewer=lambda before, after: ("Not Equal", None))
    found = run([Uniform()], world=always, reward=RewardConfig(both_orders=True))
    assert 0.3 < found.score("trained", "accepted_per_query").mean <= 1 / 3


def test_an_allowance_without_room_for_an_episode_in_both_orders_is_refused():
    with pytest.raises(ValueError, match="questions_per_seed 12 is less than the 18 queries"):
        run([Uniform()], reward=RewardConfig(both_orders=True), config=ComparisonConfig(questions_per_seed=12))


def test_seeds_that_were_trained_on_are_refused():
    with pytest.raises(ValueError, match="held-0003"):
        run([Uniform()], trained_on=["held-0003", "seed-0001"])


def test_no_held_out_seed_an_unknown_baseline_and_a_missing_uniform_are_errors():
    with pytest.raises(ValueError, match="no held-out seeds"):
        run([Uniform()], seeds={})
    with pytest.raises(ValueError, match="unknown baselines"):
        baseline_contenders(["clever"])
    with pytest.raises(ValueError, match="uniform"):
        asyncio.run(
            compare(
                environment(ToyWorld()),
                [Contender("trained", (Uniform(),), ("v",))],
                HELD_OUT,
                CONFIG,
                trained_on=(),
            )
        )


def test_the_sink_receives_every_episode_of_every_policy():
    received: dict[str, int] = {}

    def sink(name, plays):
        received[name] = received.get(name, 0) + sum(len(play.episodes) for play in plays.values())

    result = run([Uniform(), Knowing()], sink=sink)
    assert received == {name: tally.episodes for name, tally in result.tallies.items()}
    assert received["trained"] == 2 * 24 * 3
    assert received["round_robin"] == 24


def test_policies_with_other_numbers_of_training_seeds_cannot_be_paired():
    blind = Contender("text_noise", (Uniform(),) * 3, ("a", "b", "c"))
    trained = Contender("trained", (Uniform(),) * 2, ("a", "b"))
    with pytest.raises(ValueError, match=r"\[2, 3\] training seeds"):
        asyncio.run(
            compare(
                environment(ToyWorld()),
                [trained, blind, *baseline_contenders([])],
                HELD_OUT,
                CONFIG,
                trained_on=(),
            )
        )


def test_a_score_is_a_row():
    row = dataclasses.asdict(run([Uniform()], names=[]).scores[0])
    assert set(row) == set("policy metric mean ci_low ci_high episodes queries training_seeds policy_version".split())
