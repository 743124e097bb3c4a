"""Policies compared on seeds they never met."""

import asyncio
import dataclasses

import numpy as np
import pytest

from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.instructions.operations import TEXT_OPERATIONS, Operation
from teams_dagster.policy.baselines import Fixed, Uniform, baselines
from teams_dagster.policy.comparison import METRICS, ComparisonConfig, Contender, compare, contenders
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds

HELD_OUT = topical_seeds(24, "held")
CONFIG = ComparisonConfig(resamples=500, episodes_per_seed=3)


class Knowing:
    """Reads the topic: the best policy of the topical world."""

    def probabilities(self, state):
        pays = next(pays for topic, pays in TOPICS.items() if topic in state.instruction.text)
        return np.array([float(operation is pays) for operation in Operation])


class Lazy:
    """Asks nothing but for the first step."""

    def probabilities(self, state):
        return Knowing().probabilities(state) if state.step == 0 else Fixed(Operation.NONE).probabilities(state)


def run(trained, world=None, seeds=HELD_OUT, trained_on=(), names=None, reward=None, **options):
    compared = contenders([(actor, f"v{index}") for index, actor in enumerate(trained)], names)
    place = environment(world or ToyWorld(topical), reward)
    return asyncio.run(
        compare(place, compared, seeds, CONFIG, trained_on=trained_on, progress=lambda text: None, **options)
    )


def test_identical_policies_differ_by_exactly_nothing():
    result = run([Uniform()], names=[])
    for metric in METRICS:
        score = result.score("trained", f"{metric}_minus_uniform")
        assert (score.mean, score.ci_low, score.ci_high) == (0.0, 0.0, 0.0)
    assert result.score("trained", "accepted_per_query_over_uniform").mean == 1.0


def test_a_better_policy_is_above_uniform_and_every_other_baseline():
    result = run([Knowing()])
    for metric in METRICS:
        assert result.score("trained", f"{metric}_minus_uniform").ci_low > 0
    best = result.score("trained", "accepted_per_query")
    assert best.mean == best.ci_low == best.ci_high == 0.5
    assert result.score("trained", "accepted_per_episode").mean == 6
    assert all(result.score(name, "accepted_per_query").mean < 0.25 for name in baselines())


def test_stopping_early_wins_per_query_and_loses_per_episode():
    result = run([Lazy()], names=[], world=ToyWorld(lambda before, operation: operation in TEXT_OPERATIONS[:3]))
    assert result.score("trained", "accepted_per_episode_minus_uniform").ci_high < 0


def test_every_baseline_has_every_metric():
    result = run([Knowing()])
    assert {score.policy for score in result.scores} == {
        "trained",
        "uniform",
        "round_robin",
        *(operation.value for operation in TEXT_OPERATIONS),
    }
    for name in result.tallies:
        for metric in METRICS:
            assert result.score(name, metric).ci_low <= result.score(name, metric).mean


def test_a_mean_is_the_total_accepted_over_the_total_queries():
    result = run([Knowing()])
    for name in ("uniform", "round_robin"):
        total = result.tallies[name]
        assert result.score(name, "accepted_per_query").mean == pytest.approx(total.accepted_per_query)
        assert result.score(name, "return").mean == pytest.approx(total.mean_return)


def test_intervals_cover_the_true_difference_about_as_often_as_they_say():
    """A text takes any operation or none, by a coin: two policies differ by luck alone, and 0 lies inside."""
    covered = 0
    for number in range(30):
        world = ToyWorld(lambda before, operation, n=number: hash_coin(before.text, n))
        result = run([Fixed(Operation.DEEPENING)], world=world, names=[], seeds=topical_seeds(20, f"x{number}"))
        score = result.score("trained", "accepted_per_query_minus_uniform")
        covered += score.ci_low <= 0 <= score.ci_high
    assert covered >= 25


def hash_coin(*key):
    from teams_dagster.streams import uniform

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


def test_where_uniform_has_nothing_no_ratio_is_reported():
    result = run([Uniform()], world=ToyWorld(lambda before, operation: False), names=[])
    with pytest.raises(KeyError):
        result.score("trained", "accepted_per_query_over_uniform")


def test_seeds_that_were_trained_on_are_refused():
    with pytest.raises(ValueError, match="held-0003"):
        run([Uniform()], trained_on=["held-0003", "seed-0001"])


def test_no_held_out_seed_an_unknown_baseline_and_a_missing_uniform_are_errors():
    with pytest.raises(ValueError, match="no held-out seeds"):
        run([Uniform()], seeds={})
    with pytest.raises(ValueError, match="unknown baselines"):
        run([Uniform()], names=["clever"])
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
    result = run([Uniform(), Knowing()], sink=lambda name, e: received.update({name: received.get(name, 0) + len(e)}))
    assert received == {name: tally.episodes for name, tally in result.tallies.items()}
    assert received["trained"] == 2 * 24 * 3
    assert received["round_robin"] == 24


def test_a_score_is_a_row():
    row = dataclasses.asdict(run([Uniform()], names=[]).scores[0])
    assert set(row) == set("policy metric mean ci_low ci_high episodes queries training_seeds policy_version".split())
