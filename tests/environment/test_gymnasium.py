"""The faces of the decision process for learners from outside."""

import asyncio
import warnings
from contextlib import asynccontextmanager

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.gymnasium import InstructionEnv, InstructionVectorEnv, Task
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.elimination import Rule
from teams_dagster.instructions.novelty import Pool
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support import served_rules
from tests.support.openai_server import Fault, OpenAIServer
from tests.support.toy_world import TOPICS, ToyWorld, environment, topical, topical_seeds

INDEX = {operation: number for number, operation in enumerate(Operation)}
NONE, DEEPENING = INDEX[Operation.NONE], INDEX[Operation.DEEPENING]


def observe(state):
    """Which topic the text is about, and the step."""
    return np.array([*(float(topic in state.instruction.text) for topic in TOPICS), state.step / HORIZON])


def task(world=None, count=6, **changes):
    place = environment(world or ToyWorld(topical))
    return Task(**{"environment": place, "seeds": topical_seeds(count), "observe": observe, "size": 4} | changes)


@pytest.fixture
def vector():
    """Makes vector environments, and closes them at the end."""
    made = []

    def make(of=None, num_envs=5, **options):
        made.append(InstructionVectorEnv(of or task(), num_envs, **options))
        return made[-1]

    yield make
    for env in made:
        env.close()


def played(env, actions, seed=0):
    """The transitions of a played table of actions, shape (steps, envs), by episode."""
    env.reset(seed=seed)
    found = {}
    for row in actions:
        *_, infos = env.step(np.array(row))
        for transition in infos["transition"]:
            found.setdefault(transition.key.order, []).append(transition)
    return found


def test_the_single_environment_passes_gymnasiums_checker():
    env = InstructionEnv(task())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
    env.close()
    assert all("infinity" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("preset", ["graded", "paper"])
def test_the_transitions_are_those_of_run_episodes(vector, preset):
    place = environment(ToyWorld(topical, delay=0.002), RewardConfig.model_validate({"preset": preset}))
    chosen = np.random.default_rng(0).integers(0, len(Operation), (HORIZON, 5))
    found = played(vector(task(environment=place)), chosen)
    keys = [transitions[0].key for transitions in found.values()]
    assert [key.episode for key in sorted(keys, key=lambda key: key.episode)] == list(range(5))

    class Scripted:
        def __init__(self, number):
            self.number = number

        def probabilities(self, state):
            return np.eye(len(Operation))[chosen[state.step, self.number]]

    for key in keys:
        plan = EpisodePlan(key, topical_seeds(6)[key.seed_id])
        (episode,) = asyncio.run(run_episodes(place, Scripted(key.episode), [plan]))
        assert tuple(found[key.order]) == episode.transitions
    assert len({transition.accepted for transitions in found.values() for transition in transitions}) == 2


def test_the_questions_of_a_step_are_asked_at_once(vector):
    world = ToyWorld(delay=0.05)
    env = vector(task(world), 8)
    env.reset(seed=0)
    env.step(np.full(8, DEEPENING))
    assert world.most_in_flight == 8


def test_a_step_tells_what_happened(vector):
    env = vector(task(ToyWorld(reply=lambda before, operation: before.text)), 2)
    _, infos = env.reset(seed=0)
    assert infos["state"][0].instruction == topical_seeds(6)[infos["seed_id"][0]]
    assert infos["action_mask"].tolist() == [[1] * len(Operation)] * 2
    observations, rewards, terminated, truncated, infos = env.step(np.array([DEEPENING, NONE]))
    assert observations.dtype == np.float64
    assert (observations[:, -1] == 1 / HORIZON).all()
    assert not terminated.any()
    assert not truncated.any()
    assert rewards.tolist() == [-RewardConfig().price, 0.0]
    assert infos["eliminated_by"].tolist() == [Rule.RETURNED, None]
    assert infos["_eliminated_by"].tolist() == [True, False]
    assert infos["queries"].tolist() == [1, 0]
    assert "verdict" not in infos
    assert infos["transition_id"].tolist() == [transition.transition_id for transition in infos["transition"]]


def test_none_costs_nothing_and_ends_at_the_horizon():
    world = ToyWorld()
    env = InstructionEnv(task(world))
    first, told = env.reset(seed=3)
    steps = [env.step(NONE) for _ in range(HORIZON)]
    env.close()
    assert not world.requests
    assert [reward for _, reward, *_ in steps] == [0.0] * HORIZON
    assert [(terminated, truncated) for *_, terminated, truncated, _ in steps] == [(False, False)] * 5 + [(True, False)]
    assert steps[-1][-1]["state"].instruction == told["state"].instruction
    assert first.tolist() == [*steps[-1][0][:-1], 0.0]


def test_a_failed_question_truncates_its_episode_and_no_other(vector):
    doomed = topical_seeds(6)["seed-0001"].text
    world = ToyWorld(
        fails=lambda request: request.intent.purpose is Purpose.REVIEW and request.intent.before.text.startswith(doomed)
    )
    env = vector(task(world), 8)
    before, infos = env.reset(seed=0)
    hit = infos["seed_id"] == "seed-0001"
    assert 0 < hit.sum() < 8
    after, rewards, terminated, truncated, infos = env.step(np.full(8, DEEPENING))
    assert truncated.tolist() == hit.tolist()
    assert not terminated.any()
    assert (after[hit] == before[hit]).all()
    assert (rewards[hit] == 0).all()
    assert set(infos["failure"][hit]) == {"review: server: toy failure"}
    assert not infos["accepted"][hit].any()
    _, _, _, truncated, infos = env.step(np.full(8, NONE))
    assert not truncated.any()
    assert [state.step for state in infos["state"]] == [0 if was_hit else 2 for was_hit in hit]


def test_next_step_mode_begins_the_next_episode_without_a_question(vector):
    world = ToyWorld()
    env = vector(task(world), 2)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.reset(seed=0)
    for _ in range(HORIZON - 1):
        env.step(np.array([NONE, NONE]))
    observations, _, terminated, _, _ = env.step(np.array([NONE, NONE]))
    assert terminated.all()
    assert (observations[:, -1] == 1).all()
    observations, rewards, terminated, _, infos = env.step(np.array([DEEPENING, DEEPENING]))
    assert not world.requests
    assert not terminated.any()
    assert not rewards.any()
    assert (observations[:, -1] == 0).all()
    assert "transition" not in infos


def test_same_step_mode_gives_the_last_observation_beside_the_first(vector):
    env = vector(task(), 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    for _ in range(HORIZON - 1):
        env.step(np.array([DEEPENING, NONE]))
    observations, _, terminated, _, infos = env.step(np.array([DEEPENING, NONE]))
    assert terminated.all()
    assert (observations[:, -1] == 0).all()
    assert [final[-1] for final in infos["final_obs"]] == [1, 1]
    assert infos["final_info"]["operation"].tolist() == ["deepening", "none"]
    assert [state.step for state in infos["state"]] == [0, 0]


def test_a_seed_gives_the_same_episodes_at_any_width_and_a_reset_goes_on(vector):
    def drawn(num_envs, seed=7, resets=1):
        env, seeds = vector(num_envs=num_envs), []
        for number in range(resets):
            _, infos = env.reset(seed=seed if number == 0 else None)
            seeds += list(infos["seed_id"])
        return seeds

    assert drawn(12) == drawn(4, resets=3) == drawn(1, resets=12)
    assert drawn(12) == drawn(12)
    assert drawn(12) != drawn(12, seed=8)
    assert set(drawn(40)) == set(topical_seeds(6))
    again = vector(num_envs=3)
    assert played(again, [[DEEPENING] * 3], seed=5) == played(again, [[DEEPENING] * 3], seed=5)


def test_operations_that_may_not_be_chosen_are_masked_and_refused(vector):
    env = vector(task(operations=TEXT_OPERATIONS), 2)
    _, infos = env.reset(seed=0)
    assert infos["action_mask"][0].tolist() == [1] * len(TEXT_OPERATIONS) + [0]
    with pytest.raises(ValueError, match="mask"):
        env.step(np.array([DEEPENING, NONE]))
    with pytest.raises(ValueError, match="shape"):
        env.step(np.array([DEEPENING]))
    *_, infos = env.step(np.array([DEEPENING, DEEPENING]))
    assert [transition.step for transition in infos["transition"]] == [0, 0]


def test_an_error_that_is_no_episodes_own_moves_nothing_and_the_step_can_be_tried_again(vector):
    class Broke(ToyWorld):
        budget = 5

        async def ask(self, request, **options):
            if sum(self.asked.values()) >= self.budget:
                raise RuntimeError("the budget is exhausted")
            return await super().ask(request, **options)

    world = Broke()
    env = vector(task(world), 4)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="budget"):
        env.step(np.full(4, DEEPENING))
    world.budget = 1_000
    *_, infos = env.step(np.full(4, DEEPENING))
    assert [transition.step for transition in infos["transition"]] == [0, 0, 0, 0]


def test_what_is_used_wrongly_says_so():
    with pytest.raises(ValueError, match="follow each other"):
        InstructionVectorEnv(task(), autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="0 seeds"):
        InstructionEnv(task(seeds={}))
    env = InstructionEnv(task(size=9))
    with pytest.raises(ResetNeeded):
        env.step(NONE)
    with pytest.raises(ValueError, match="promised"):
        env.reset()
    env.close()
    env.close()


def test_a_real_engine_is_opened_and_closed_in_the_loop_that_asks(tmp_path):
    """Against a server, with a ledger: every answer is kept, and the same episodes again pay nothing."""

    def opener(ledger, base_url):
        @asynccontextmanager
        async def opened():
            model = OpenAICompatibleModel("m", base_url=base_url)
            models = {Role.INSTRUCTOR: model, Role.REVIEWER: model}
            engine = Engine(models, ledger, CallContext("run-1", "outside"), load_prices(), first_wait_s=0.01)
            try:
                yield Environment(engine, Pool([]), RewardConfig(), Role.INSTRUCTOR)
            finally:
                await engine.close()
                await model.close()

        return opened

    actions = np.random.default_rng(1).integers(0, len(TEXT_OPERATIONS), (3, 4))
    with (
        OpenAIServer(served_rules.answer, latency_s=0.05) as server,
        Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger,
    ):
        rounds = []
        for _ in range(2):
            env = InstructionVectorEnv(task(environment=opener(ledger, server.base_url)), 4)
            rounds.append((played(env, actions), server.count))
            env.close()
        assert server.most_in_flight >= 2
        with ledger.engine.connect() as connection:
            ((answers,),) = connection.exec_driver_sql("select count(*) from answers").fetchall()
        server.faults.append(Fault(status=400, body='{"error": {"message": "no"}}'))
        env = InstructionEnv(task(environment=opener(ledger, server.base_url)))
        env.reset(seed=99)
        *_, truncated, told = env.step(DEEPENING)
        env.close()
    (first, asked), (second, asked_after) = rounds
    assert first == second
    assert asked == asked_after == answers > 4
    assert truncated
    assert told["failure"].startswith("rewrite: rejected")
