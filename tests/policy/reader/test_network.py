"""The policy of a language model: exact distributions over the allowed operations, and an adapter that learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.environment.state import PastOperation, State
from teams_dagster.policy.encoder import FeatureConfig, encoder
from teams_dagster.policy.reader.base import language_model_base
from teams_dagster.policy.reader.config import LanguageModelReaderConfig
from teams_dagster.policy.reader.network import LanguageModelPolicy
from teams_dagster.policy.reader.prompt import PromptReader

TEXTS = ("Name a river", "Sort these numbers, then say why", "Write a poem about the sea")
STATES = [State("s", (Instruction(text),), (PastOperation(Operation.BREADTH, True),)) for text in TEXTS]
ALL = np.ones(len(Operation), dtype=bool)


@pytest.fixture
def read(base):
    """Makes a reader."""

    def made(**settings):
        config = LanguageModelReaderConfig(base=base, **settings)
        return PromptReader(config, language_model_base(base), encoder(FeatureConfig()))

    return made


def vectors(reader, states=STATES):
    return torch.from_numpy(np.stack([reader(state) for state in states]))


def stirred(policy):
    """The policy with an adapter that says something."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return policy


@pytest.fixture
def policy(read):
    """One that has learnt something."""
    return stirred(LanguageModelPolicy(read(), ALL, ("k",)))


@torch.no_grad()
def test_before_training_every_allowed_operation_is_as_likely(read):
    reader = read()
    found = LanguageModelPolicy(reader, ALL, ("k",))(vectors(reader)).exp().numpy()
    assert found == pytest.approx(np.full((3, len(Operation)), 1 / len(Operation)), abs=1e-6)


@torch.no_grad()
def test_with_a_prior_the_base_prefers_some(read):
    reader = read(prior=1.0)
    found = LanguageModelPolicy(reader, ALL, ("k",))(vectors(reader)).exp().numpy()
    assert found.max() > 2 / len(Operation)


@torch.no_grad()
def test_probabilities_sum_to_one(read, policy):
    found = policy(vectors(read())).exp()
    assert found.sum(-1).numpy() == pytest.approx(np.ones(3), abs=1e-12)


@torch.no_grad()
def test_they_are_those_of_the_names_over_what_they_count_from(read, policy):
    reader = read()
    prompt = reader.prompt(STATES[0])
    logits = reader.names.scores_of_one(policy.model, prompt) - reader.offsets(prompt)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert policy(vectors(reader))[0].exp().numpy() == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_an_operation_that_is_not_allowed_has_exactly_none(read, policy):
    allowed = np.array([operation is not Operation.NONE for operation in Operation])
    masked = LanguageModelPolicy(read(), allowed, ("k",))
    masked.load(policy.weights())
    found, free = masked(vectors(read())).exp(), policy(vectors(read())).exp()
    assert not found[:, ~allowed].any()
    assert found[:, allowed].numpy() == pytest.approx((free[:, allowed] / free[:, allowed].sum(-1, True)).numpy())


@torch.no_grad()
def test_it_acts_on_one_state_as_it_learns_from_many(read, policy):
    acting = read().actor(policy.weights(), ALL)
    together = policy(vectors(read())).exp().numpy()
    assert np.stack([acting.probabilities(state) for state in STATES]) == pytest.approx(together, abs=1e-5)


def test_the_same_state_has_the_same_bits_each_time(read, policy):
    one, other = (read().actor(policy.weights(), ALL) for _ in range(2))
    other.probabilities(STATES[1])
    assert np.array_equal(one.probabilities(STATES[0]), other.probabilities(STATES[0]))


@torch.no_grad()
def test_it_reads_the_text_and_what_was_tried(read, policy):
    acting = read().actor(policy.weights(), ALL)
    found = acting.probabilities(STATES[0])
    assert not np.allclose(found, acting.probabilities(STATES[1]), atol=1e-4)
    refused = replace(STATES[0], past=(PastOperation(Operation.BREADTH, False),))
    assert not np.allclose(found, acting.probabilities(refused), atol=1e-4)


def test_gradients_of_parts_are_those_of_the_whole(read, policy):
    parted = LanguageModelPolicy(read(states_at_once=1), ALL, ("k",))
    parted.load(policy.weights())
    gradients = []
    for network in (policy, parted):
        network(vectors(read()))[:, 0].sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert gradients[0].abs().max() > 0
    assert gradients[1].numpy() == pytest.approx(gradients[0].numpy(), abs=1e-5)


def test_only_the_adapter_learns_and_the_base_is_shared(read):
    reader = read()
    policies = [LanguageModelPolicy(reader, ALL, ("k",)) for _ in range(2)]
    frozen = [{p.data_ptr() for p in policy.parameters() if not p.requires_grad} for policy in policies]
    assert frozen[0] == frozen[1]
    assert all("lora_" in name for name in policies[0].weights())


def test_the_first_weights_belong_to_the_key(read):
    one, same, other = (LanguageModelPolicy(read(), ALL, (key,)).weights() for key in ("a", "a", "b"))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_weights_of_another_rank_are_refused(read, policy):
    with pytest.raises(RuntimeError):
        LanguageModelPolicy(read(rank=4), ALL, ("k",)).load(policy.weights())


def test_weights_of_other_layers_are_refused(read, policy):
    with pytest.raises(RuntimeError, match="an adapter with other layers"):
        policy.load(dict(list(policy.weights().items())[1:]))
