"""What holds for every batch of texts: who learns from whose tokens, and which algorithms are the same."""

import dataclasses
import math

import pytest
import torch

from teams_dagster.policy.algorithms.config import KLReferenceConfig
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.config import RLGFConfig, WeightsConfig
from teams_dagster.rlgf.gail import tell_apart
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sequences import batch_of
from teams_dagster.rlgf.token_algorithm_config import GAILConfig
from teams_dagster.rlgf.update import reference_losses, scored
from tests.support.small_llama import END, small_llama, text

STEP = {"learning_rate": 1e-2, "epochs": 2, "minibatch": 4}
GUIDED = [("ppo_plus_plus", {}), ("aggrevated", {"form": "mask"}), ("aggrevated", {"form": "one_step"})]
EVERY = [
    *GUIDED,
    ("ppo", {}),
    ("lols", {"tau": 0.5}),
    ("d2lols", {"switch": 1}),
    ("grpo", {"group": 2}),
    ("rloo", {"group": 2}),
    ("expert_iteration", {"group": 2, "keep": 0.5}),
    ("bc", {}),
    ("dagger", {}),
    ("online_dpo", {}),
    ("gail", {}),
]
TEXTS = [
    text("3 4 5 0", prompt="1 2", by="ggll", reward=1.0),
    text("6 7 8", prompt="8", by="llgg"[:3], reward=-1.0),
    text("9 4 0", prompt="2 3", by="llg", reward=0.5),
    text("5 6 7 8 0", prompt="1", by="lllll", reward=2.0),
    text("10 11", prompt="4", by="gg", reward=0.0),
    text("12 0", prompt="4", by="ll", reward=0.3),
]
BESIDE = [
    dataclasses.replace(t, writers=text("1", by="lg"[at % 2]).writers * len(t.tokens)) for at, t in enumerate(TEXTS)
]
"""Texts of learner and guide in turn."""


def named(value: str | dict[str, object]) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


def config_of(name, options, **more):
    step = {**STEP, **more.pop("step", {})}
    algorithm = {"name": "ppo", **step} if name == "ppo" else {"name": name, "step": step, **options}
    settings = {"iterations": 9, "texts": 6, "weights": WeightsConfig(kind="full"), "kl_reference": None}
    return RLGFConfig.model_validate({"algorithm": algorithm, **settings, **more})


def run(name, options, texts=TEXTS, iterations=2, **more):
    """The learner and its reports after updates on the same texts."""
    config = config_of(name, options, **more)
    learner, algorithm, reports = TokenLearner(small_llama(), config), token_algorithm(config), []
    for iteration in range(iterations):
        learner.begin(iteration)
        reports.append(algorithm.update(learner, scored(learner, batch_of(texts, END)), iteration))
    return learner, reports


def weights(learner, name=POLICY):
    return torch.cat([weight.detach().flatten() for weight in learner.models.trained(name).values()])


def same(one, other, name=POLICY):
    return torch.equal(weights(one, name), weights(other, name))


def all_by(letter):
    return [dataclasses.replace(t, writers=text("1", by=letter).writers * len(t.tokens)) for t in TEXTS]


def test_ppo_plus_plus_on_the_learners_own_texts_is_ppo():
    own = all_by("l")
    (one, reports), (other, others) = run("ppo", {}, own), run("ppo_plus_plus", {}, own)
    assert same(one, other)
    assert same(one, other, "learner")
    assert [dataclasses.replace(r, phase="") for r in reports] == [dataclasses.replace(r, phase="") for r in others]


def test_ppo_plus_plus_trains_policy_and_critic_on_the_learners_tokens():
    _, reports = run("ppo_plus_plus", {})
    own = sum(who == "learner" for t in TEXTS for who in t.writers)
    assert {(report.policy_steps, report.critic_steps) for report in reports} == {(own, own)}


def test_aggrevateds_masks_partition_the_texts():
    _, reports = run("aggrevated", {"form": "mask"})
    assert {report.policy_steps + report.critic_steps for report in reports} == {sum(len(t.tokens) for t in TEXTS)}


@pytest.mark.parametrize("form", ["mask", "one_step"])
def test_aggrevated_on_the_guides_texts_never_moves_the_policy(form):
    learner, reports = run("aggrevated", {"form": form}, all_by("g"))
    assert same(learner, TokenLearner(small_llama(), config_of("aggrevated", {})))
    assert not learner.optimisers[POLICY].state
    assert learner.optimisers["guide"].state
    assert {report.status for report in reports} == {"no_steps"}


def test_a_critic_without_tokens_takes_no_step():
    learner, reports = run("aggrevated", {"form": "one_step"}, all_by("l"))
    assert not learner.optimisers["guide"].state
    assert {(report.critic_steps, report.critic_loss) for report in reports} == {(0, None)}


@pytest.mark.parametrize(("tau", "other"), [(1.0, "ppo_plus_plus"), (0.0, "aggrevated")])
def test_lols_at_its_ends_is_one_of_its_two_phases(tau, other):
    assert same(run("lols", {"tau": tau})[0], run(other, {})[0])


def test_d2lols_that_switches_at_once_is_ppo_plus_plus():
    assert same(run("d2lols", {"switch": 0})[0], run("ppo_plus_plus", {})[0])


def test_d2lols_switches_once_and_each_phase_has_its_own_critic():
    learner, reports = run("d2lols", {"switch": 1}, iterations=1)
    assert [report.phase for report in reports] == ["aggrevated"]
    assert not learner.optimisers["learner"].state
    assert [report.phase for report in run("d2lols", {"switch": 1}, iterations=3)[1]][1:] == ["ppo_plus_plus"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), EVERY, ids=named)
def test_the_same_texts_give_the_same_bits(name, options):
    assert same(run(name, options)[0], run(name, options)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), EVERY, ids=named)
def test_how_many_texts_are_computed_at_once_changes_no_more_than_float_noise(name, options):
    one, other = run(name, options, at_once=6, iterations=1)[0], run(name, options, at_once=1, iterations=1)[0]
    torch.testing.assert_close(weights(one), weights(other), atol=2e-4, rtol=0)


@pytest.mark.parametrize(("name", "options"), [("ppo", {}), *GUIDED], ids=named)
def test_the_learner_pays_for_leaving_the_reference_and_the_guide_does_not(name, options):
    config = config_of(name, options, kl_reference=KLReferenceConfig(weight=0.5))
    learner = TokenLearner(small_llama(), config)
    with torch.no_grad():
        for weight in learner.models.trained(POLICY).values():
            weight.add_(0.05 * torch.ones_like(weight))
    batch = batch_of(TEXTS, END)
    known = scored(learner, batch)
    gap = learner.policy_scores(batch)[0] - learner.reference_log_probabilities(batch)
    own = batch.valid & batch.by_learner
    expected = torch.where(own, batch.rewards - 0.5 * gap.double(), batch.rewards)
    torch.testing.assert_close(known.rewards, expected, atol=1e-6, rtol=0)
    assert known.kl == pytest.approx(float(gap[own].mean()), abs=1e-6)


def test_behaviour_cloning_learns_the_tokens_of_texts_alone():
    _, reports = run("bc", {}, iterations=1)
    assert reports[0].policy_steps == sum(len(t.tokens) for t in TEXTS)


@pytest.mark.parametrize("name", ["bc", "expert_iteration"])
def test_learning_texts_raises_their_likelihood(name):
    _, reports = run(name, dict(EVERY)[name], iterations=3)
    losses = [report.imitation_loss for report in reports]
    assert losses == sorted(losses, reverse=True)
    assert all(report.improvement > 0 for report in reports)


def guides_tokens(texts):
    return sum(who == "guide" for t in texts for who in t.writers)


def test_dagger_learns_the_guides_tokens_of_all_texts_so_far():
    learner, reports = run("dagger", {"memory": 99}, iterations=3)
    assert [report.policy_steps for report in reports] == [n * guides_tokens(TEXTS) for n in (1, 2, 3)]
    assert learner.memory is not None
    assert len(learner.memory) == 18


def test_dagger_forgets_the_oldest_texts():
    learner, reports = run("dagger", {"memory": 8}, iterations=2)
    batch = batch_of([*TEXTS[-2:], *TEXTS], END)
    assert learner.memory is not None
    assert torch.equal(learner.memory.tokens[batch.valid], batch.tokens[batch.valid])
    assert reports[1].policy_steps == guides_tokens([*TEXTS[-2:], *TEXTS])


def test_dagger_on_texts_of_the_guide_alone_is_behaviour_cloning_in_its_first_iteration():
    of_guide = all_by("g")
    assert same(run("dagger", {}, of_guide, iterations=1)[0], run("bc", {}, of_guide, iterations=1)[0])


def test_what_the_learner_wrote_itself_teaches_dagger_nothing():
    changed = [dataclasses.replace(t, reward=-t.reward) for t in TEXTS]
    assert same(run("dagger", {})[0], run("dagger", {}, changed)[0])


def test_gail_reads_no_reward_of_the_task():
    changed = [dataclasses.replace(t, reward=-t.reward) for t in BESIDE]
    assert same(run("gail", {}, BESIDE)[0], run("gail", {}, changed)[0])


@pytest.mark.parametrize("reward", ["log_odds", "surprise"])
def test_gail_moves_policy_and_critic_on_the_learners_texts_alone(reward):
    _, reports = run("gail", {"reward": reward}, BESIDE)
    own = sum(len(t.tokens) for t in BESIDE[::2])
    assert {(report.policy_steps, report.critic_steps) for report in reports} == {(own, own)}


def test_gails_discriminator_learns_to_tell_texts_apart():
    options = {"discriminator": {"learning_rate": 1e-2, "head_learning_rate": 0.1, "epochs": 5}}
    learner, reports = run("gail", options, BESIDE, iterations=4)
    assert reports[0].discriminator_loss == pytest.approx(math.log(2))
    assert reports[-1].discriminator_loss < reports[1].discriminator_loss < math.log(2)
    logits = learner.guide_logits(batch_of(BESIDE, END))
    assert logits[1::2].min() > logits[::2].max()


def test_gails_first_batch_is_rewarded_before_the_discriminator_knows_anything():
    learner, _ = run("gail", {}, BESIDE, iterations=1)
    assert same(learner, TokenLearner(small_llama(), config_of("gail", {})))
    assert learner.optimisers["discriminator"].state


def test_a_discriminator_that_sees_one_of_the_two_alone_learns_nothing():
    learner, reports = run("gail", {}, all_by("l"))
    assert {report.discriminator_loss for report in reports} == {None}
    assert not learner.optimisers["discriminator"].state


def test_both_classes_count_alike_to_the_discriminator_however_many_texts_they_have():
    learner = TokenLearner(small_llama(), config_of("gail", {}))
    with torch.no_grad():
        learner.heads["discriminator"].bias.fill_(2.0)
    loss = tell_apart(learner, batch_of(BESIDE[:3], END), GAILConfig(), ("key",))
    assert loss == pytest.approx((math.log1p(math.exp(2.0)) + math.log1p(math.exp(-2.0))) / 2)


def test_online_dpo_reads_only_which_text_of_a_pair_is_better():
    scaled = [dataclasses.replace(t, reward=10 * t.reward + 3) for t in TEXTS]
    assert same(run("online_dpo", {})[0], run("online_dpo", {}, scaled)[0])


def test_a_pair_that_earned_alike_teaches_online_dpo_nothing():
    learner, reports = run("online_dpo", {}, [dataclasses.replace(t, reward=1.0) for t in TEXTS])
    assert {report.status for report in reports} == {"no_steps"}
    assert not learner.optimisers[POLICY].state


def test_online_dpo_raises_the_better_text_above_the_worse():
    learner, reports = run("online_dpo", {}, iterations=3, step={"minibatch": 0})
    assert all(report.improvement > 0 for report in reports)
    batch = batch_of(TEXTS, END)
    ratios = (learner.policy_scores(batch)[0] - learner.reference_log_probabilities(batch)).sum(1)
    better = torch.tensor([0, 3, 5])
    assert bool((ratios[better] > ratios[better ^ 1]).all())


def test_references_are_learnt_beside_the_reward():
    targets = batch_of([text("1 2 3 0", prompt="1 2")] * len(TEXTS), END)
    config = config_of("ppo", {}, step={"target_weight": 1.0})
    learner, algorithm = TokenLearner(small_llama(), config), token_algorithm(config)
    before = learner.policy_log_probabilities(targets).sum()
    algorithm.update(learner, scored(learner, batch_of(TEXTS, END), targets), 0)
    assert learner.policy_log_probabilities(targets).sum() > before
    assert not same(learner, run("ppo", {}, iterations=1)[0])


def test_references_count_alike_however_many_are_computed_at_once():
    targets = batch_of([text(tokens) for tokens in ("1 2 3 0", "4", "5 6", "7 0", "8 9 0", "1")], END)
    learner = TokenLearner(small_llama(), config_of("ppo", {}, at_once=4))
    scores = learner.policy_log_probabilities(targets)
    total = sum(float(loss) for loss in reference_losses(learner, targets))
    assert total == pytest.approx(-float(scores[targets.valid].mean()), abs=1e-5)


def test_references_that_are_to_be_learnt_and_are_not_there_are_an_error():
    with pytest.raises(ValueError, match=r"step\.target_weight is 0\.5, and no reference is given"):
        run("ppo", {}, step={"target_weight": 0.5})


def test_a_text_that_moved_too_far_stops_the_passes():
    _, reports = run("ppo", {}, step={"learning_rate": 0.1, "target_kl": 1e-4, "epochs": 4})
    assert {report.status for report in reports} == {"stopped_early"}


def test_a_reward_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="finite"):
        run("grpo", {"group": 2}, [dataclasses.replace(t, reward=float("nan")) for t in TEXTS])


@pytest.mark.parametrize("name", ["learner", POLICY])
def test_a_loss_that_is_not_finite_moves_nothing(name):
    config = config_of("ppo", {})
    learner, before = TokenLearner(small_llama(), config), weights(TokenLearner(small_llama(), config), name)
    known = scored(learner, batch_of([dataclasses.replace(t, reward=float("nan")) for t in TEXTS], END))
    with pytest.raises(ValueError, match="is not finite"):
        token_algorithm(config).update(learner, known, 0)
    assert torch.equal(weights(learner, name), before)


def test_the_entropy_term_keeps_the_policy_open():
    plain, _ = run("ppo", {}, iterations=6)
    kept, _ = run("ppo", {}, iterations=6, step={"entropy_weight": 1.0})
    batch = batch_of(TEXTS, END)
    entropies = [float(learner.policy_scores(batch).entropies[batch.valid].mean()) for learner in (plain, kept)]
    assert entropies[1] > entropies[0]


def test_step_sizes_fall_to_nothing_after_the_last_iteration():
    learner = TokenLearner(small_llama(), config_of("ppo", {}, iterations=4))
    rates = []
    for iteration in range(4):
        learner.begin(iteration)
        rates.append(learner.optimisers[POLICY].param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])
