"""Policy, reference, critics and guide are kept apart."""

import pytest
import torch

from teams_dagster.rlgf.config import RLGFConfig, WeightsConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sequences import batch_of
from tests.support.small_llama import END, small_llama, text

BATCH = batch_of([text("3 4 5 0", prompt="1 2"), text("6 7", prompt="8")], END)
KINDS = pytest.mark.parametrize("kind", ["lora", "full"])


def learner_of(kind, algorithm="d2lols"):
    config = RLGFConfig.model_validate({"algorithm": {"name": algorithm}, "weights": {"kind": kind}, "iterations": 30})
    return TokenLearner(small_llama(), config)


def moved(learner, name):
    """Adds a little to every weight of `name`."""
    with torch.no_grad():
        for weight in learner.models.trained(name).values():
            weight.add_(0.1)


@KINDS
def test_all_sets_of_weights_are_the_base_at_first(kind):
    learner = learner_of(kind)
    policy, reference = learner.policy_scores(BATCH), learner.reference_log_probabilities(BATCH)
    assert torch.equal(policy.log_probabilities, reference)
    assert not learner.values("learner", BATCH).any()


def test_copies_of_a_base_in_half_precision_are_float32_and_equal_to_it_at_first():
    config = RLGFConfig(weights=WeightsConfig(kind="full"))
    learner = TokenLearner(small_llama().bfloat16(), config)
    assert {weight.dtype for weight in learner.models.trained(POLICY).values()} == {torch.float32}
    policy, reference = learner.policy_scores(BATCH), learner.reference_log_probabilities(BATCH)
    assert torch.equal(policy.log_probabilities, reference)


@KINDS
def test_moving_one_set_of_weights_moves_no_other(kind):
    learner = learner_of(kind)
    for head in learner.heads.values():
        torch.nn.init.ones_(head.weight)
    names = [POLICY, "learner", "guide"]
    says = {
        POLICY: lambda: learner.policy_log_probabilities(BATCH),
        "learner": lambda: learner.values("learner", BATCH),
        "guide": lambda: learner.values("guide", BATCH),
        "reference": lambda: learner.reference_log_probabilities(BATCH),
    }
    for name in names:
        before = {other: say().detach().clone() for other, say in says.items()}
        moved(learner, name)
        assert {other for other, say in says.items() if not torch.equal(say(), before[other])} == {name}


@KINDS
def test_gradients_reach_the_weights_that_are_used_and_no_others(kind):
    learner = learner_of(kind)
    torch.nn.init.ones_(learner.heads["guide"].weight)
    learner.values("guide", BATCH).sum().backward()
    learner.policy_log_probabilities(BATCH).sum().backward()
    assert any(weight.grad is not None for weight in learner.models.trained(POLICY).values())
    assert any(weight.grad is not None for weight in learner.models.trained("guide").values())
    assert all(weight.grad is None for weight in learner.models.trained("learner").values())


def test_the_same_seed_gives_adapters_the_same_first_weights_and_leaves_torchs_generator_alone():
    before = torch.random.get_rng_state()
    one, other = learner_of("lora"), learner_of("lora")
    for name, weight in one.models.trained("guide").items():
        assert torch.equal(weight, other.models.trained("guide")[name])
    small_llama()
    assert torch.equal(torch.random.get_rng_state(), before)


@KINDS
def test_a_learner_restored_from_its_state_has_the_same_bits(kind):
    one, other = learner_of(kind), learner_of(kind)
    moved(one, POLICY)
    one.kappa = 0.5
    other.restore(one.state())
    assert other.kappa == 0.5
    assert torch.equal(one.policy_scores(BATCH)[0], other.policy_scores(BATCH)[0])
