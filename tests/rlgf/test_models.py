"""Policy, reference, critics and guide are kept apart."""

import pytest
import torch

from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.config import RLGFConfig, WeightsConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sampling import Begun, Vocabulary, sample
from teams_dagster.rlgf.sequences import batch_of
from teams_dagster.rlgf.update import scored
from tests.support.small_llama import END, small_llama, text
from tests.support.token_chain import TableModel

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


TEXTS = [
    text("3 4 5 0", prompt="1 2", by="lggl", reward=1.0),
    text("6 7", prompt="8", reward=-0.5),
    text("9 4 0", prompt="2 3", reward=0.2),
    text("5 6 7 8 0", prompt="1", by="lllgg", reward=2.0),
]
BOTH_KINDS = pytest.mark.parametrize("kind", ["lora", "full"])


def checkpointing_learner(kind, checkpointing, name="ppo_plus_plus"):
    return TokenLearner(
        small_llama(),
        RLGFConfig.model_validate(
            {
                "algorithm": {"name": name, "step": {"learning_rate": 1e-2, "minibatch": 2}},
                "weights": {"kind": kind, "gradient_checkpointing": checkpointing},
                "at_once": 1,
            }
        ),
    )


def updated(kind, checkpointing, name):
    learner = checkpointing_learner(kind, checkpointing, name)
    learner.begin(0)
    token_algorithm(learner.config).update(learner, scored(learner, batch_of(TEXTS, END)), 0)
    return [*learner.models.trained(POLICY).values()]


@pytest.mark.slow
@BOTH_KINDS
@pytest.mark.parametrize("name", ["ppo_plus_plus", "online_dpo"])
def test_an_update_is_the_same_but_for_rounding(kind, name):
    for found, expected in zip(updated(kind, True, name), updated(kind, False, name), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@BOTH_KINDS
def test_fewer_activations_are_kept_for_the_backward_pass(kind):
    def kept(checkpointing):
        learner, sizes = checkpointing_learner(kind, checkpointing), []

        def keep(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            learner.policy_scores(batch_of(TEXTS, END))
        return sum(sizes)

    assert kept(True) < kept(False) / 3


@BOTH_KINDS
def test_what_is_written_is_the_same(kind):
    begun = [Begun((1, 2), (), 6, ("text", index)) for index in range(4)]

    def written(checkpointing):
        learner = checkpointing_learner(kind, checkpointing)
        with learner.models.using(POLICY) as model:
            return sample(model, begun, Vocabulary(frozenset({END}), END), learner.config.decoding, at_once=4)

    assert written(True) == written(False)


def test_a_model_without_layers_to_compute_again_is_refused():
    config = RLGFConfig.model_validate({"weights": {"kind": "full", "gradient_checkpointing": True}})
    with pytest.raises(ValueError, match="TableModel has no layer for gradient checkpointing"):
        TokenLearner(TableModel(), config)
