"""What holds for every batch: who learns from whose steps, and which algorithms are the same."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.policy.algorithms.aggrevated import last_of
from teams_dagster.policy.algorithms.algorithm import algorithm_of
from teams_dagster.policy.algorithms.config import (
    AdamCriticConfig,
    AggreVaTeDConfig,
    AggreVaTeDForm,
    BCConfig,
    D2LOLSConfig,
    DAggerConfig,
    KLReferenceConfig,
    LOLSConfig,
    PPOConfig,
    PPOPlusPlusConfig,
    TRPOConfig,
)
from tests.support import chain_world as chain

GUIDE = chain.softened(chain.optimal(), 0.5)
STEPS = [TRPOConfig(), PPOConfig(minibatch=16, epochs=2)]
FORMS: list[AggreVaTeDForm] = ["mask", "one_step", "enumerated"]
ADAM = AdamCriticConfig(minibatch=16, epochs=2)
EVERY = [
    *STEPS,
    PPOPlusPlusConfig(),
    *(AggreVaTeDConfig(form=form) for form in FORMS),
    LOLSConfig(tau=0.5),
    D2LOLSConfig(switch=1),
    BCConfig(),
    DAggerConfig(),
]


def name_of(config: object) -> str:
    return getattr(config, "name", str(config))


def run(config, *, change=lambda batch: batch, iterations=2, seed=0, **options):
    """The learner and the reports of `iterations` updates, each batch passed through `change`."""
    learner, algorithm, reports = chain.learner_of(config, seed=seed, **options), algorithm_of(config, seed), []
    for iteration in range(iterations):
        batch = change(chain.batch_for(algorithm, learner, GUIDE, seed, iteration, episodes=24))
        reports.append(algorithm.update(learner, batch, iteration))
    return learner, reports


def same(one, other, parts=("policy",)):
    """Whether two learners hold the same bits in `parts`."""
    left, right = one.state(), other.state()
    names = [name for name in left if name.startswith(parts)]
    return bool(names) and all(np.array_equal(left[name], right[name]) for name in names)


def without_guides_steps(batch):
    """The guide's steps with other choices and, where rewards cannot reach the learner's advantages, rewards."""
    guides = batch.valid & ~batch.by_learner
    actions = torch.where(guides, (batch.actions + 1) % chain.CHOICES, batch.actions)
    return dataclasses.replace(batch, actions=actions)


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_ppo_plus_plus_without_roll_in_is_the_plain_algorithm(step):
    plain, reports = run(step)
    guided, guided_reports = run(PPOPlusPlusConfig(beta=0, step=step))
    assert same(plain, guided, ("policy", "critic", "adam"))
    assert [dataclasses.replace(report, phase="") for report in reports] == [
        dataclasses.replace(report, phase="") for report in guided_reports
    ]


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_ppo_plus_plus_learns_nothing_from_the_guides_choices_and_rewards(step):
    def changed(batch):
        guides = batch.valid & ~batch.by_learner
        return dataclasses.replace(without_guides_steps(batch), rewards=torch.where(guides, 9.0, batch.rewards))

    config = PPOPlusPlusConfig(step=step)
    one, other = run(config)[0], run(config, change=changed)[0]
    assert same(one, other, ("policy", "critic"))


@pytest.mark.parametrize("step", STEPS, ids=name_of)
@pytest.mark.parametrize("form", FORMS)
def test_aggrevateds_policy_learns_nothing_from_which_choices_the_guide_makes(step, form):
    config = AggreVaTeDConfig(form=form, step=step)
    one, other = run(config)[0], run(config, change=without_guides_steps)[0]
    assert same(one, other)


@pytest.mark.parametrize("step", STEPS, ids=name_of)
@pytest.mark.parametrize("form", FORMS)
def test_aggrevated_without_learner_steps_never_moves_the_policy(step, form):
    config = AggreVaTeDConfig(beta=0, form=form, step=step)
    learner, reports = run(config, critic=ADAM)
    assert same(learner, chain.learner_of(config))
    assert [(report.status, report.policy_steps) for report in reports] == [("no_steps", 0)] * 2


def test_a_skipped_policy_term_takes_no_optimiser_step():
    learner, _ = run(AggreVaTeDConfig(form="one_step", beta=0), critic=ADAM)
    assert not learner.optimisers["policy"].state
    assert learner.optimisers["guide"].state


def test_a_skipped_critic_term_takes_no_optimiser_step():
    config = AggreVaTeDConfig(form="one_step", beta=1)
    learner, reports = run(
        config, critic=ADAM, change=lambda batch: dataclasses.replace(batch, by_learner=batch.valid.clone())
    )
    assert "guide" in learner.optimisers
    assert not learner.optimisers["guide"].state
    assert [(report.critic_steps, report.critic_loss) for report in reports] == [(0, None)] * 2


@given(st.integers(0, 30), st.floats(0, 1))
def test_aggrevateds_masks_partition_the_episode(seed, beta):
    config = AggreVaTeDConfig(beta=beta, form="mask")
    batch = chain.batch_for(algorithm_of(config, 0), chain.learner_of(config), GUIDE, seed, 0, episodes=8)
    report = algorithm_of(config, 0).update(chain.learner_of(config), batch, 0)
    assert report.policy_steps + report.critic_steps == int(batch.valid.sum())


@given(st.integers(0, 30), st.floats(0, 1))
def test_ppo_plus_plus_trains_policy_and_critic_on_the_learners_steps(seed, beta):
    config = PPOPlusPlusConfig(beta=beta, step=TRPOConfig())
    batch = chain.batch_for(algorithm_of(config, 0), chain.learner_of(config), GUIDE, seed, 0, episodes=8)
    report = algorithm_of(config, 0).update(chain.learner_of(config), batch, 0)
    assert report.policy_steps == report.critic_steps == int((batch.valid & batch.by_learner).sum())


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_the_last_learner_step_is_one_an_episode(lengths):
    mask = torch.from_numpy(np.arange(6) < np.array(lengths)[:, None])
    chosen = last_of(mask)
    assert torch.equal(chosen.sum(1), mask.any(1).long())
    assert all(chosen[row, length - 1] for row, length in enumerate(lengths) if length)


@pytest.mark.parametrize("step", STEPS, ids=name_of)
@pytest.mark.parametrize(
    ("tau", "other"),
    [(1.0, PPOPlusPlusConfig(beta=0.4)), (0.0, AggreVaTeDConfig(form="mask", beta=0.8))],
    ids=["PPO++", "AggreVaTeD"],
)
def test_lols_at_its_ends_is_one_of_its_two_phases(step, tau, other):
    mixed, reports = run(LOLSConfig(tau=tau, step=step))
    alone, alone_reports = run(other.model_copy(update={"step": step}))
    assert same(mixed, alone)
    assert reports == alone_reports


def test_lols_tosses_one_coin_an_iteration_from_its_own_stream():
    algorithm, other_seed = algorithm_of(LOLSConfig(tau=0.5), 3), algorithm_of(LOLSConfig(tau=0.5), 4)

    def phases(chosen, draw):
        return [chosen.roll_in(iteration, 6, lambda name: draw).then.value for iteration in range(40)]

    assert phases(algorithm, 0.1) == phases(algorithm, 0.9)
    assert {*phases(algorithm, 0.1)} == {"learner", "guide"}
    assert phases(algorithm, 0.1) != phases(other_seed, 0.1)


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_d2lols_that_switches_at_once_is_ppo_plus_plus(step):
    switched, reports = run(D2LOLSConfig(switch=0, beta_learner=0.8, step=step))
    plain, plain_reports = run(PPOPlusPlusConfig(beta=0.8, step=step))
    assert same(switched, plain)
    assert reports == plain_reports


def test_d2lols_switches_once():
    _, reports = run(D2LOLSConfig(switch=2), iterations=4)
    assert [report.phase for report in reports] == ["aggrevated"] * 2 + ["ppo_plus_plus"] * 2


def test_each_phase_keeps_its_own_critic():
    fresh = chain.learner_of(D2LOLSConfig(switch=1))
    first, _ = run(D2LOLSConfig(switch=1), iterations=1)
    assert same(first, fresh, ("critic.learner",))
    assert not same(first, fresh, ("critic.guide",))


@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_invalid_steps_and_their_contents_change_nothing(config):
    """The last step of every third episode did not happen; what stands there does not matter."""

    def cut(noise):
        def change(batch):
            gone = torch.zeros_like(batch.valid)
            gone[::3, -1] = True
            return dataclasses.replace(
                batch,
                valid=batch.valid & ~gone,
                rewards=torch.where(gone, noise, batch.rewards),
                actions=torch.where(gone, 0, batch.actions),
                features=torch.where(gone.unsqueeze(-1), noise, batch.features),
            )

        return change

    assert same(run(config, change=cut(0.0))[0], run(config, change=cut(5.0))[0])


@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_the_same_inputs_give_the_same_bits(config):
    assert same(run(config, critic=ADAM)[0], run(config, critic=ADAM)[0], ("policy", "critic", "adam", "kappa"))


@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_training_leaves_torchs_global_generator_alone(config):
    before = torch.random.get_rng_state()
    run(config, critic=ADAM)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_every_report_is_safe_to_write_as_json(config):
    _, reports = run(config, kl=KLReferenceConfig(weight=0.1, target=0.2))
    for report in reports:
        json.dumps(dataclasses.asdict(report), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("config", EVERY, ids=name_of)
def test_a_learner_restored_from_its_state_goes_on_bit_for_bit(config):
    kl = KLReferenceConfig(weight=0.1, target=0.2)
    whole, _ = run(config, iterations=4, critic=ADAM, kl=kl)
    algorithm, stopped = algorithm_of(config, 0), run(config, iterations=2, critic=ADAM, kl=kl)[0]
    resumed = chain.learner_of(config, seed=9, critic=ADAM, kl=kl)
    resumed.restore(stopped.state())
    for iteration in (2, 3):
        algorithm.update(resumed, chain.batch_for(algorithm, resumed, GUIDE, 0, iteration, episodes=24), iteration)
    assert same(whole, resumed, ("policy", "critic", "adam", "kappa"))
    assert whole.state().keys() == resumed.state().keys()


def test_a_reward_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="finite"):
        run(PPOConfig(), change=lambda batch: dataclasses.replace(batch, rewards=batch.rewards * float("nan")))


def test_the_imitation_term_learns_from_the_guides_labels():
    plain, _ = run(PPOPlusPlusConfig(step=PPOConfig()))
    helped, reports = run(PPOPlusPlusConfig(step=PPOConfig(imitation_weight=1.0)))
    assert not same(plain, helped)
    assert all(report.imitation_loss is not None for report in reports)


def test_with_an_imitation_term_labels_teach_even_where_no_step_is_the_learners():
    config = AggreVaTeDConfig(form="one_step", beta=0, step=PPOConfig(imitation_weight=1.0))
    learner, reports = run(config)
    assert not same(learner, chain.learner_of(config))
    assert [report.policy_steps for report in reports] == [0, 0]


def test_an_unreadable_answer_of_the_guide_is_never_a_label():
    config = BCConfig()
    learner, reports = run(
        config, change=lambda batch: dataclasses.replace(batch, labels=torch.full_like(batch.labels, -1))
    )
    assert same(learner, chain.learner_of(config))
    assert [report.status for report in reports] == ["no_steps"] * 2


def test_ppo_stops_early_where_a_minibatch_has_moved_too_far():
    _, reports = run(PPOConfig(learning_rate=0.1, minibatch=16, target_kl=1e-3))
    assert {report.status for report in reports} == {"stopped_early"}
    assert all(report.step_size < 1 for report in reports)
