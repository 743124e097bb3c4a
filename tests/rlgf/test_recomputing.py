"""Gradient checkpointing changes memory and nothing else."""

import pytest
import torch

from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sampling import Begun, Vocabulary, sample
from teams_dagster.rlgf.sequences import batch_of
from teams_dagster.rlgf.update import scored
from tests.support.small_llama import END, small_llama, text
from tests.support.token_chain import TableModel

TEXTS = [
    text("3 4 5 0", prompt="1 2", by="lggl", reward=1.0),
    text("6 7", prompt="8", reward=-0.5),
    text("9 4 0", prompt="2 3", reward=0.2),
    text("5 6 7 8 0", prompt="1", by="lllgg", reward=2.0),
]
KINDS = pytest.mark.parametrize("kind", ["lora", "full"])


def learner_of(kind, checkpointing, name="ppo_plus_plus"):
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
    learner = learner_of(kind, checkpointing, name)
    learner.begin(0)
    token_algorithm(learner.config).update(learner, scored(learner, batch_of(TEXTS, END)), 0)
    return [*learner.models.trained(POLICY).values()]


@KINDS
@pytest.mark.parametrize("name", ["ppo_plus_plus", "online_dpo"])
def test_an_update_is_the_same_but_for_rounding(kind, name):
    for found, expected in zip(updated(kind, True, name), updated(kind, False, name), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@KINDS
def test_fewer_activations_are_kept_for_the_backward_pass(kind):
    def kept(checkpointing):
        learner, sizes = learner_of(kind, checkpointing), []

        def keep(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            learner.policy_scores(batch_of(TEXTS, END))
        return sum(sizes)

    assert kept(True) < kept(False) / 3


@KINDS
def test_what_is_written_is_the_same(kind):
    begun = [Begun((1, 2), (), 6, ("text", index)) for index in range(4)]

    def written(checkpointing):
        learner = learner_of(kind, checkpointing)
        with learner.models.using(POLICY) as model:
            return sample(model, begun, Vocabulary(frozenset({END}), END), learner.config.decoding, at_once=4)

    assert written(True) == written(False)


def test_a_model_without_layers_to_compute_again_is_refused():
    config = RLGFConfig.model_validate({"weights": {"kind": "full", "gradient_checkpointing": True}})
    with pytest.raises(ValueError, match="TableModel has no layer for gradient checkpointing"):
        TokenLearner(TableModel(), config)
