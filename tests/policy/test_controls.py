"""Three controls over the embedded offline model: what a policy learns there is real, and nothing is given by name.

1. Permuting the operations' names permutes the learned mix and changes nothing else.
2. In a null world (the verdict is a hash of text and operation) nothing can be learnt that carries over to new seeds.
3. In a saturated world (always Not Equal) the report says that the reward is flat.
"""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation, Rewriting
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.core.rng import uniform
from teams_dagster.environment.reward import RewardConfig, RewardPreset
from teams_dagster.environment.state import State
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.policy.comparison.compare import Comparison, ComparisonConfig, compare
from teams_dagster.policy.comparison.contenders import Contender, baseline_contenders
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.training import train
from tests.support.offline_world import OfflineWorld, shipped_seeds
from tests.support.toy_world import ToyWorld

pytestmark = pytest.mark.slow

ALL = shipped_seeds()
HELD_OUT = {seed_id: ALL[seed_id] for seed_id in sorted(ALL)[::4]}
TRAINING = {seed_id: seed for seed_id, seed in ALL.items() if seed_id not in HELD_OUT}
CONFIG = TrainingConfig(iterations=8, episodes_per_iteration=64, allow_none=False)


def learn(world: LLMClient, folder: Path, config: TrainingConfig = CONFIG, *, also=(), told=None) -> Comparison:
    """Train in `world` and compare with uniform (and `also`) on held-out seeds; progress goes to `told`."""
    tell = (told if told is not None else []).append

    async def both() -> Comparison:
        checkpoint = await train(world, TRAINING, config, folder / "policy", progress=tell)
        environment = Environment(world, Pool(TRAINING.values()), config.reward, Role.INSTRUCTOR)
        return await compare(
            environment,
            [
                Contender("trained", (checkpoint.actor(),), (checkpoint.policy_version,)),
                *baseline_contenders([]),
                *also,
            ],
            HELD_OUT,
            ComparisonConfig(),
            trained_on=TRAINING,
            progress=tell,
        )

    return asyncio.run(both())


def mix(comparison: Comparison) -> dict[Operation, float]:
    """Share of each operation under the trained policy."""
    counts = comparison.tallies["trained"].operations
    return {operation: counts[operation.value] / sum(counts.values()) for operation in TEXT_OPERATIONS}


def distance(one: dict[Operation, float], other: dict[Operation, float]) -> float:
    """Total variation between two mixes."""
    return sum(abs(one[operation] - other[operation]) for operation in TEXT_OPERATIONS) / 2


RENAMED: dict[Rewriting, Operation] = {
    # Names change places among operations that reply in the same format, for the format goes with the name.
    Operation.BREADTH: Operation.COMPLICATE_INPUT,
    Operation.COMPLICATE_INPUT: Operation.BREADTH,
    Operation.ADD_CONSTRAINTS: Operation.CONCRETIZING,
    Operation.CONCRETIZING: Operation.DEEPENING,
    Operation.DEEPENING: Operation.INCREASE_REASONING_STEPS,
    Operation.INCREASE_REASONING_STEPS: Operation.ADD_CONSTRAINTS,
}
"""Asked for the key, the world performs the value."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Comparison:
    return learn(OfflineWorld(), tmp_path_factory.mktemp("plain"))


def test_the_policy_learns_something_that_carries_over_to_held_out_seeds(plain):
    assert not plain.flat_reward
    for metric in ("return", "accepted_per_query", "accepted_per_episode"):
        assert plain.score("trained", f"{metric}_minus_uniform").ci_low > 0


def test_permuting_the_names_permutes_the_learned_mix_and_nothing_else(plain, tmp_path):
    renamed = learn(OfflineWorld(names=RENAMED.__getitem__), tmp_path)
    as_named = mix(renamed)
    performed = {RENAMED[name]: share for name, share in as_named.items()}
    assert distance(performed, mix(plain)) < 0.12
    assert distance(as_named, mix(plain)) > 2 * distance(performed, mix(plain))
    for metric in ("accepted_per_query", "accepted_per_episode"):
        here, there = renamed.score("trained", metric), plain.score("trained", metric)
        assert here.ci_low < there.ci_high
        assert there.ci_low < here.ci_high


def coin(before: Instruction, operation: Rewriting) -> bool:
    """The null world: nothing about a text tells which operation pays on it."""
    return uniform("null", before.instruction_id, operation.value) < 0.5


class Unrepeating:
    """Uniform over the operations that were not refused on the current text."""

    def probabilities(self, state: State) -> np.ndarray:
        refused = set()
        for past in state.past:
            refused = set() if past.accepted else refused | {past.operation}
        fresh = [operation in TEXT_OPERATIONS and operation not in refused for operation in Operation]
        chances = np.array(fresh if any(fresh) else [operation in TEXT_OPERATIONS for operation in Operation], float)
        return chances / chances.sum()


def test_in_a_null_world_nothing_carries_over_to_held_out_seeds(tmp_path):
    """Preset `paper`: the chain moves on from every edit, so that no question comes twice."""
    config = CONFIG.model_copy(update={"reward": RewardConfig(preset=RewardPreset.PAPER)})
    result = learn(ToyWorld(coin), tmp_path, config)
    assert not result.flat_reward
    for metric in ("return", "accepted_per_query", "accepted_per_episode"):
        score = result.score("trained", f"{metric}_minus_uniform")
        assert score.ci_low <= 0 <= score.ci_high


def test_where_a_rejected_edit_stays_all_a_null_world_can_teach_is_not_to_ask_again(tmp_path):
    """Preset `graded`: the same question would get the same refusal; there is nothing to know beyond that."""
    result = learn(ToyWorld(coin), tmp_path, also=[Contender("unrepeating", (Unrepeating(),), ("v",))])
    best, trained = result.score("unrepeating", "accepted_per_query"), result.score("trained", "accepted_per_query")
    assert trained.ci_low <= best.ci_high


def test_in_a_saturated_world_the_reward_is_said_to_be_flat(tmp_path):
    told: list[str] = []
    result = learn(ToyWorld(), tmp_path, CONFIG.model_copy(update={"iterations": 2}), told=told)
    assert result.flat_reward
    assert result.score("trained", "accepted_per_query").mean == result.score("uniform", "accepted_per_query").mean
    assert sum("flat" in line for line in told) == 2
