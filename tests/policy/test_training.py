"""Training a policy: determinism, resume, honesty about what cannot be learnt."""

import asyncio
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Purpose, Usage
from teams_dagster.core.rng import uniform
from teams_dagster.environment.reward import DollarReward, RewardConfig, RewardPreset
from teams_dagster.environment.transition import start
from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    AggreVaTeDConfig,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    KLReferenceConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from teams_dagster.policy.checkpoint import Checkpoint, CheckpointOutdated, FeaturesChanged
from teams_dagster.policy.collecting import next_ids
from teams_dagster.policy.config import TrainingConfig, reference_training
from teams_dagster.policy.curve import SMOOTHED
from teams_dagster.policy.training import TrainingFailed, train
from tests.support.token_prices import generation_prices
from tests.support.toy_world import TOPICS, ToyWorld, appended, topical, topical_seeds

SEEDS = topical_seeds(40)
SHORT = TrainingConfig(iterations=4, episodes_per_iteration=32, hidden=(16,))


def run(world, path, config=SHORT, seeds=SEEDS, **options):
    return asyncio.run(
        train(world, seeds, config, path, progress=options.pop("progress", lambda text: None), **options)
    )


def same(one, other):
    return one.state.keys() == other.state.keys() and all(
        np.array_equal(one.state[name], other.state[name]) for name in one.state
    )


class Killed(ToyWorld):
    """The topical world, in which the process ends after so many queries."""

    def __init__(self, after, **options):
        super().__init__(topical, **options)
        self.after = after

    async def ask(self, request, **options):
        if sum(self.asked.values()) >= self.after:
            raise KeyboardInterrupt
        return await super().ask(request, **options)


@dataclass(frozen=True)
class Trained:
    """A finished training in the topical world: its policy, its file, and what its sink received."""

    checkpoint: Checkpoint
    path: Path
    received: list


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By SHORT, once. Its file is only read."""
    path, received = tmp_path_factory.mktemp("trained") / "policy", []
    checkpoint = run(ToyWorld(topical), path, sink=lambda number, episodes: received.append((number, episodes)))
    return Trained(checkpoint, path, received)


@pytest.fixture
def copy(trained, tmp_path):
    """Its file, for one test to go on with."""
    return Path(shutil.copy(trained.path, tmp_path / "p"))


ALGORITHMS = {
    "trpo": TRPOConfig(),
    "ppo": PPOConfig(),
    "ppo_plus_plus": PPOPlusPlusConfig(),
    "aggrevated_mask": AggreVaTeDConfig(form="mask"),
    "aggrevated_one_step": AggreVaTeDConfig(form="one_step"),
    "aggrevated_enumerated": AggreVaTeDConfig(form="enumerated"),
    "lols": LOLSConfig(tau=0.5),
    "d2lols": D2LOLSConfig(switch=1, step=TRPOConfig()),
    "bc": BCConfig(),
    "dagger": DAggerConfig(),
}


def guided():
    """The topical world with a guide that knows it, but for one text in four."""

    def named(request):
        before = request.intent.before
        pays = next(pays for topic, pays in TOPICS.items() if topic in before.text)
        return "breadth" if uniform("weak", before.instruction_id) < 0.25 else pays.value

    return named


@pytest.fixture(scope="module")
def by(tmp_path_factory):
    """A training of two iterations by an algorithm, by its name, with that guide: each once."""

    @cache
    def trained_by(name):
        path = tmp_path_factory.mktemp(name) / "policy"
        return Trained(run(ToyWorld(topical, guide=guided()), path, guided_by(name)), path, [])

    return trained_by


def guided_by(name):
    """Its configuration."""
    return SHORT.model_copy(update={"algorithm": ALGORITHMS[name], "critic": AdamCriticConfig(), "iterations": 2})


def test_the_same_seed_and_answers_give_the_same_weights_in_any_order_of_answers(trained, tmp_path):
    scrambled = run(ToyWorld(topical, delay=0.003), tmp_path / "b")
    assert same(trained.checkpoint, scrambled)
    assert trained.checkpoint.curve == scrambled.curve
    assert trained.checkpoint.policy_version == scrambled.policy_version
    assert trained.path.read_bytes() == (tmp_path / "b").read_bytes()


def test_another_root_seed_gives_another_policy(trained, tmp_path):
    other = SHORT.model_copy(update={"root_seed": 1})
    assert not same(trained.checkpoint, run(ToyWorld(topical), tmp_path / "b", other))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_gives_the_same_weights_at_any_concurrency_and_after_a_kill(by, tmp_path, name):
    whole, config = by(name), guided_by(name)
    in_the_second = whole.checkpoint.curve[0].queries + 100
    with pytest.raises(KeyboardInterrupt):
        run(Killed(in_the_second, guide=guided()), tmp_path / "killed", config)
    resumed = run(ToyWorld(topical, guide=guided(), delay=0.002), tmp_path / "killed", config)
    assert same(whole.checkpoint, resumed)
    assert whole.path.read_bytes() == (tmp_path / "killed").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"trpo", "ppo"}))
def test_an_algorithm_with_a_guide_pays_for_its_questions(by, name):
    checkpoint = by(name).checkpoint
    assert checkpoint.origin.guide is not None
    assert sum(record.guidance_queries for record in checkpoint.curve) > 0
    assert all(record.queries >= record.guidance_queries for record in checkpoint.curve)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [BCConfig(learning_rate=0.01), DAggerConfig(learning_rate=0.01)])
def test_a_guides_choice_is_learnt_from_the_text_and_carries_over_to_others(tmp_path, algorithm):
    config = SHORT.model_copy(update={"algorithm": algorithm, "iterations": 12})
    checkpoint = run(ToyWorld(topical, guide=guided()), tmp_path / "p", config, topical_seeds(60))
    chances = np.array([checkpoint.actor().probabilities(start(n, s)) for n, s in topical_seeds(30, "new").items()])
    pays = [list(Operation).index(list(TOPICS.values())[number % 3]) for number in range(30)]
    assert chances[np.arange(30), pays].mean() > 3 / len(Operation)


def test_without_a_guide_the_guide_is_never_asked(tmp_path):
    world = ToyWorld(topical)
    checkpoint = run(world, tmp_path / "p", SHORT.model_copy(update={"algorithm": PPOConfig()}))
    assert world.asked[Purpose.GUIDE] == 0
    assert checkpoint.origin.guide is None


def test_a_guide_that_cannot_be_read_is_counted(tmp_path):
    config = SHORT.model_copy(update={"algorithm": PPOPlusPlusConfig(beta=1.0), "iterations": 1})
    record = run(ToyWorld(topical, guide=lambda request: "hm"), tmp_path / "p", config).curve[0]
    assert record.fallbacks > 0
    assert record.guidance_queries == 2 * record.fallbacks


@pytest.mark.slow
def test_a_price_on_leaving_uniform_keeps_the_policy_near_to_it(tmp_path):
    free = SHORT.model_copy(update={"iterations": 10})
    priced = free.model_copy(update={"kl_reference": KLReferenceConfig(weight=2.0)})
    wide, near = (run(ToyWorld(topical), tmp_path / n, c).curve[-1] for n, c in (("a", free), ("b", priced)))
    assert near.entropy > wide.entropy


def test_training_near_to_another_policy_names_it(tmp_path):
    cloned = run(ToyWorld(topical), tmp_path / "bc", SHORT.model_copy(update={"algorithm": BCConfig()}))
    config = SHORT.model_copy(update={"kl_reference": KLReferenceConfig(weight=0.1)})
    near = run(ToyWorld(topical), tmp_path / "p", config, reference=cloned)
    assert near.origin.reference_version == cloned.policy_version
    with pytest.raises(TrainingFailed, match="another configuration"):
        run(ToyWorld(topical), tmp_path / "p", config)
    with pytest.raises(TrainingFailed, match="reads other features"):
        run(ToyWorld(topical), tmp_path / "q", config.model_copy(update={"hidden": (8,)}), reference=cloned)


@pytest.mark.slow
def test_training_stops_when_the_return_gets_no_better(tmp_path):
    """Preset `paper` in a world where everything is accepted: every return is the same, so no iteration is better."""
    told: list[str] = []
    paper = RewardConfig(preset=RewardPreset.PAPER)
    flat = {"iterations": 30, "patience": 3, "allow_none": False, "reward": paper}
    checkpoint = run(ToyWorld(), tmp_path / "p", SHORT.model_copy(update=flat), progress=told.append)
    assert checkpoint.iteration == SMOOTHED + 3
    assert checkpoint.stopped_early
    assert any("stopped early" in line for line in told)


def test_without_patience_training_takes_all_its_iterations(tmp_path):
    checkpoint = run(ToyWorld(topical), tmp_path / "q", SHORT.model_copy(update={"iterations": 8, "patience": 0}))
    assert checkpoint.iteration == 8
    assert not checkpoint.stopped_early


@pytest.mark.parametrize("questions", [5, 700, 1000])
def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(trained, tmp_path, questions):
    with pytest.raises(KeyboardInterrupt):
        run(Killed(questions), tmp_path / "killed")
    told: list[str] = []
    resumed = run(ToyWorld(topical), tmp_path / "killed", progress=told.append)
    assert same(trained.checkpoint, resumed)
    assert trained.path.read_bytes() == (tmp_path / "killed").read_bytes()
    assert ("continuing" in told[0]) == (questions > 384)


def test_a_finished_run_asks_nothing_more(trained, copy):
    world = ToyWorld(topical)
    assert same(run(world, copy), trained.checkpoint)
    assert not world.requests


def test_the_sink_receives_each_iteration_in_canonical_order(trained):
    assert [number for number, _ in trained.received] == [0, 1, 2, 3]
    for number, episodes in trained.received:
        orders = [episode.key.order for episode in episodes]
        assert orders == sorted(orders)
        assert len({seed for seed, _ in orders}) == 32
        assert {e.key.policy_version for e in episodes} == {trained.checkpoint.curve[number].policy_version}


def test_every_seed_is_met_equally_often(tmp_path):
    met = []
    run(
        ToyWorld(topical),
        tmp_path / "p",
        SHORT.model_copy(update={"iterations": 5}),
        sink=lambda number, episodes: met.extend(episode.key.seed_id for episode in episodes),
    )
    assert np.unique([met.count(seed_id) for seed_id in SEEDS]).tolist() == [4]


@given(st.integers(1, 90), st.integers(32, 70), st.integers(0, 6))
def test_seeds_are_drawn_evenly_and_a_batch_has_different_ones_where_it_can(seeds, count, root_seed):
    ids = [f"{number:03d}" for number in range(seeds)]
    batches = [next_ids(ids, count, root_seed, iteration) for iteration in range(5)]
    assert all(len(batch) == count for batch in batches)
    assert seeds < count or all(len(set(batch)) == count for batch in batches)
    met = Counter(seed_id for batch in batches for seed_id in batch)
    assert max(met.values()) - min(met[seed_id] for seed_id in ids) <= 1


def test_fewer_seeds_than_episodes_give_each_seed_several(tmp_path):
    keys = []
    run(
        ToyWorld(topical),
        tmp_path / "p",
        SHORT.model_copy(update={"iterations": 1}),
        topical_seeds(10),
        sink=lambda number, episodes: keys.extend(episode.key.order for episode in episodes),
    )
    assert len(set(keys)) == len(keys) == 32


@pytest.mark.slow
def test_it_learns_which_operation_pays_for_which_text(tmp_path):
    config = TrainingConfig(iterations=15, episodes_per_iteration=64)
    checkpoint = run(ToyWorld(topical), tmp_path / "p", config, topical_seeds(60))
    first, last = checkpoint.curve[0], checkpoint.curve[-1]
    assert last.accepted_per_query > 3 * first.accepted_per_query
    assert last.mean_return > first.mean_return + 2
    assert last.entropy < first.entropy
    assert all(record.kl <= TRPOConfig().max_kl for record in checkpoint.curve)
    assert last.explained_variance is not None
    assert last.explained_variance > 0.3


def test_where_nothing_pays_it_learns_to_ask_nothing(tmp_path):
    config = TrainingConfig(iterations=12, episodes_per_iteration=64, algorithm=TRPOConfig(max_kl=0.1))
    checkpoint = run(ToyWorld(lambda before, operation: False), tmp_path / "p", config)
    assert checkpoint.curve[-1].operation_mix["none"] > 0.6
    assert checkpoint.curve[-1].queries < checkpoint.curve[0].queries / 2


def test_none_can_be_masked(tmp_path):
    checkpoint = run(ToyWorld(topical), tmp_path / "p", SHORT.model_copy(update={"allow_none": False}))
    assert all(record.operation_mix[Operation.NONE.value] == 0 for record in checkpoint.curve)
    assert all(record.queries == 32 * 12 for record in checkpoint.curve)


def test_a_flat_reward_is_said_to_be_flat_and_moves_nothing(tmp_path):
    told: list[str] = []
    paper = RewardConfig(preset=RewardPreset.PAPER)
    config = SHORT.model_copy(update={"allow_none": False, "reward": paper, "gae_decay": 1.0, "gamma": 1.0})
    checkpoint = run(ToyWorld(), tmp_path / "p", config, progress=told.append)
    assert checkpoint.curve[0].reward_variance == 0
    assert "flat" in told[-1]


def test_truncated_episodes_are_learnt_from_and_counted(tmp_path):
    world = ToyWorld(
        topical, fails=lambda request: uniform("fails", request.intent.before.text, request.intent.purpose.value) < 0.04
    )
    checkpoint = run(world, tmp_path / "p")
    assert 0 < checkpoint.curve[0].truncated < 32


def test_when_no_question_is_answered_training_fails_with_the_cause(tmp_path):
    with pytest.raises(TrainingFailed, match="toy failure"):
        run(ToyWorld(fails=lambda request: True), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_checkpoint_of_another_run_is_refused(copy):
    with pytest.raises(TrainingFailed, match="another configuration"):
        run(ToyWorld(topical), copy, SHORT.model_copy(update={"gamma": 0.5}))
    with pytest.raises(TrainingFailed, match="another configuration"):
        run(ToyWorld(topical), copy, seeds=topical_seeds(41))


def test_no_seed_is_an_error(tmp_path):
    with pytest.raises(TrainingFailed, match="no training seeds"):
        run(ToyWorld(topical), tmp_path / "p", seeds={})


def test_a_checkpoint_is_read_as_it_was_written_and_acts(trained):
    written, read = trained.checkpoint, Checkpoint.load(trained.path)
    assert same(written, read)
    assert (read.config, read.origin, read.curve) == (written.config, written.origin, written.curve)
    assert read.policy_version == written.policy_version
    assert read.origin.instructor.model == "toy-instructor"
    assert read.finished


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "p").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="not a policy checkpoint"):
        Checkpoint.load(tmp_path / "p")


def test_a_changed_checkpoint_is_refused(copy):
    content = bytearray(copy.read_bytes())
    needle = Checkpoint.load(copy).policy["0.weight"].tobytes()[:64]
    content[content.index(needle)] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ValueError, match="it was changed"):
        Checkpoint.load(copy)


def test_a_checkpoint_of_an_earlier_format_says_what_to_do(tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("teams_dagster.policy.checkpoint.FORMAT", 1)
        run(ToyWorld(topical), tmp_path / "p", SHORT.model_copy(update={"iterations": 1}))
    with pytest.raises(CheckpointOutdated, match="train the policy again"):
        Checkpoint.load(tmp_path / "p")


def test_a_checkpoint_of_other_operations_is_read_and_refused_by_their_names(trained, tmp_path):
    written = trained.checkpoint
    templates = {name: version for name, version in written.origin.prompt_versions.items() if name != "deepening"}
    replace(written, origin=replace(written.origin, prompt_versions=templates | {"gone": "1"})).save(tmp_path / "p")
    assert Checkpoint.load(tmp_path / "p").iteration == written.iteration
    changed = r"added since: deepening; removed since: gone"
    with pytest.raises(FeaturesChanged, match=changed):
        Checkpoint.load(tmp_path / "p").actor()
    with pytest.raises(TrainingFailed, match=changed):
        run(ToyWorld(topical), tmp_path / "p")


def test_what_cannot_be_watched_or_reached_is_refused():
    with pytest.raises(ValueError, match="the guide acts alone"):
        TrainingConfig(patience=3, algorithm=BCConfig())
    with pytest.raises(ValueError, match="smaller `switch`"):
        TrainingConfig(iterations=4, algorithm=D2LOLSConfig(switch=4))


def test_dagger_learns_from_the_states_of_every_iteration(by):
    assert [record.policy_steps for record in by("dagger").checkpoint.curve] == [32 * 6, 2 * 32 * 6]


def test_a_finished_policy_carries_no_data(by):
    assert not [name for name in by("bc").checkpoint.state if name.startswith("labelled")]


def test_the_curve_tells_the_policys_own_steps_from_the_guides(tmp_path):
    world = ToyWorld(lambda before, operation: operation is Operation.DEEPENING, guide=lambda request: "deepening")
    config = SHORT.model_copy(update={"algorithm": PPOPlusPlusConfig(), "iterations": 1})
    [record] = run(world, tmp_path / "p", config).curve
    assert record.own is not None
    assert record.own.steps < 32 * 6
    assert record.own.mean_return < record.mean_return
    assert record.own.operation_mix["deepening"] < record.operation_mix["deepening"]


def test_where_the_policy_acts_alone_the_curve_says_so(trained):
    assert {record.own for record in trained.checkpoint.curve} == {None}


@pytest.mark.slow
def test_a_guided_training_stops_when_its_own_steps_get_no_better(tmp_path):
    paper = RewardConfig(preset=RewardPreset.PAPER)
    flat = {"iterations": 30, "patience": 3, "allow_none": False, "reward": paper, "algorithm": PPOPlusPlusConfig()}
    checkpoint = run(ToyWorld(), tmp_path / "p", SHORT.model_copy(update=flat))
    assert checkpoint.stopped_early
    assert checkpoint.iteration == SMOOTHED + 3


def test_a_look_ahead_guides_and_its_queries_are_counted(tmp_path):
    world = ToyWorld(topical)
    config = TrainingConfig(**dict(SHORT) | {"iterations": 1, "algorithm": BCConfig(), "guide": "look_ahead"})
    [record] = run(world, tmp_path / "p", config).curve
    assert world.asked[Purpose.GUIDE] == 0
    assert record.guidance_queries == 32 * 6 * 10
    assert record.accepted_per_episode == 6
    assert record.policy_steps == 32 * 6


def test_dollars_without_token_counts_end_a_training_after_its_first_batch(tmp_path):
    prices = generation_prices((1, 1))
    dollars = RewardConfig(preset=RewardPreset.DOLLARS, dollars=DollarReward(prices=prices))
    with pytest.raises(
        TrainingFailed, match=r"reward `dollars` counts tokens, and toy-instructor \(instructor\) reports none"
    ):
        run(ToyWorld(), tmp_path / "p", SHORT.model_copy(update={"reward": dollars}))


def reported_by(*purposes):
    """Tokens of the queries of these purposes alone."""
    return lambda request: Usage(20, 0, 10) if request.intent.purpose in purposes else Usage()


def test_a_reviewer_that_is_paid_and_counts_no_tokens_ends_a_training_by_name(tmp_path):
    """Edits that a rule eliminates have a known cost, so some rewards are right all the same."""
    reward = RewardConfig(preset=RewardPreset.DOLLARS, dollars=DollarReward(prices=generation_prices((1, 1), (1, 1))))

    def reply(before, operation):
        return "" if operation is Operation.BREADTH else appended(before, operation)

    world = ToyWorld(reply=reply, usage=reported_by(Purpose.REWRITE))
    with pytest.raises(TrainingFailed, match=r"^reward `dollars` counts tokens, and toy-reviewer \(reviewer\)"):
        run(world, tmp_path / "p", SHORT.model_copy(update={"reward": reward}))


def test_edits_whose_tokens_are_not_known_are_counted_and_told(tmp_path):
    reward = RewardConfig(preset=RewardPreset.DOLLARS, dollars=DollarReward(prices=generation_prices((1, 1))))
    seen, lines = [], []

    def usage(request):
        if request.intent.purpose is not Purpose.REWRITE:
            return Usage()
        seen.append(request)
        return Usage() if len(seen) == 1 else Usage(20, 0, 10)

    config = SHORT.model_copy(update={"reward": reward})
    curve = run(ToyWorld(usage=usage), tmp_path / "p", config, progress=lines.append).curve
    assert [record.without_tokens for record in curve] == [1, *[0] * (len(curve) - 1)]
    assert "edits without their tokens: 1" in lines[0]


def test_the_preset_reference_updates_after_each_episode_and_reads_no_text(tmp_path):
    batches = []
    config = reference_training(iterations=3)
    checkpoint = run(ToyWorld(topical), tmp_path / "p", config, sink=lambda number, episodes: batches.append(episodes))
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert {t.reward_preset for batch in batches for e in batch for t in e.transitions} == {"paper"}
    assert not any(t.operation is Operation.NONE for batch in batches for e in batch for t in e.transitions)
    actor = checkpoint.actor()
    one, other = (actor.probabilities(start("seed", seed)) for seed in list(SEEDS.values())[:2])
    assert np.array_equal(one, other)


def test_small_batches_are_the_references_alone():
    with pytest.raises(ValueError, match="episodes_per_iteration is 1: give 32 or more, or the preset `reference`"):
        TrainingConfig(episodes_per_iteration=1)


def test_a_training_of_our_own_is_written_as_it_always_was():
    assert "reference" not in TrainingConfig().model_dump()
    assert TrainingConfig.model_validate(reference_training().model_dump(mode="json")) == reference_training()
