"""One update of PPO is that of a plain loop over tokens, written here without the code that it checks."""

import dataclasses

import pytest
import torch

from teams_dagster.policy.algorithms.config import KLReferenceConfig
from teams_dagster.rlgf.algorithms import token_algorithm
from teams_dagster.rlgf.config import RLGFConfig, TokenCriticConfig, TokenStepConfig, WeightsConfig
from teams_dagster.rlgf.learner import TokenLearner
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sequences import batch_of
from teams_dagster.rlgf.update import Gains, policy_says, scored
from tests.support.small_llama import END, small_llama, text

GAMMA, DECAY, KAPPA, CLIP, RATE = 0.9, 0.8, 0.1, 0.2, 1e-2
TEXTS = [
    text("3 4 5 0", prompt="1 2", reward=1.0),
    text("6 7", prompt="8", reward=-0.5),
    text("9 4 0", prompt="2 3", reward=0.2),
]


def log_probabilities(model, written):
    logits = model(torch.tensor([[*written.prompt, *written.tokens]])).logits[0, len(written.prompt) - 1 : -1]
    return torch.log_softmax(logits, dim=-1)[torch.arange(len(written.tokens)), list(written.tokens)]


def advantages_of(rewards, values):
    """GAE of one text, from its definition."""
    result = []
    for step in range(len(rewards)):
        total = 0.0
        for later in range(step, len(rewards)):
            following = values[later + 1] if later + 1 < len(values) else 0.0
            delta = rewards[later] + GAMMA * following - values[later]
            total += (GAMMA * DECAY) ** (later - step) * delta
        result.append(total)
    return torch.tensor(result, dtype=torch.float64)


def plain_update(model, reference, epochs):
    """PPO with a critic that says 0: two passes over all texts, tokens alike."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, eps=1e-5, weight_decay=0.0)
    with torch.no_grad():
        old = [log_probabilities(model, written).double() for written in TEXTS]
        worth = []
        for written, scores in zip(TEXTS, old, strict=True):
            price = KAPPA * (scores - log_probabilities(reference, written).double())
            rewards = -price
            rewards[-1] += written.reward
            worth.append(advantages_of(rewards.tolist(), [0.0] * len(written.tokens)))
    every = torch.cat(worth)
    every = (every - every.mean()) / (every.std(unbiased=False) + 1e-8)
    for _ in range(epochs):
        new = torch.cat([log_probabilities(model, written).double() for written in TEXTS])
        ratio = (new - torch.cat(old)).exp()
        loss = -torch.minimum(ratio * every, ratio.clamp(1 - CLIP, 1 + CLIP) * every).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return dict(model.named_parameters())


def test_ppo_is_a_plain_loop_over_tokens():
    config = RLGFConfig(
        algorithm=TokenStepConfig(
            learning_rate=RATE, weight_decay=0.0, epochs=3, minibatch=0, clip=CLIP, schedule="constant"
        ),
        critic=TokenCriticConfig(epochs=1),
        weights=WeightsConfig(kind="full"),
        kl_reference=KLReferenceConfig(weight=KAPPA),
        gamma=GAMMA,
        gae_decay=DECAY,
        at_once=2,
        iterations=5,
    )
    learner = TokenLearner(small_llama(), config)
    with torch.no_grad():  # away from the reference, so that the price counts
        for weight in learner.models.trained(POLICY).values():
            weight.add_(0.03 * weight.sign())
    start = small_llama()
    start.load_state_dict({name: weight.detach() for name, weight in learner.models.trained(POLICY).items()})
    learner.begin(0)
    token_algorithm(config).update(learner, scored(learner, batch_of(TEXTS, END)), 0)
    expected = plain_update(start, small_llama(), epochs=3)
    for name, weight in learner.models.trained(POLICY).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-4, rtol=0)


def learner_of(name, at_once=2, **step):
    step = {"learning_rate": RATE, "epochs": 1, "minibatch": 0, **step}
    algorithm = {"name": name, **step} if name == "ppo" else {"name": name, "step": step, "group": 3}
    settings = {"algorithm": algorithm, "texts": 3, "at_once": at_once, "critic": {"epochs": 1, "minibatch": 0}}
    learner = TokenLearner(
        small_llama(), RLGFConfig.model_validate({**settings, "weights": {"kind": "full"}, "kl_reference": None})
    )
    learner.begin(0)
    return learner


@pytest.mark.parametrize(
    ("step", "read"), [({}, [3, 1]), ({"epochs": 2}, [3, 3, 3, 3]), ({"minibatch": 2}, [3, 2, 1, 3])], ids=str
)
def test_a_batch_is_read_before_its_update_only_where_more_than_one_step_follows(step, read):
    """A single step's own pass is of the policy that wrote; what it did is then read off every fourth text."""
    learner, seen = learner_of("grpo", at_once=3, **step), []
    with learner.models.using(POLICY) as model:
        model.model.register_forward_hook(lambda _, __, output: seen.append(len(output[0])))
    token_algorithm(learner.config).update(learner, scored(learner, batch_of(TEXTS, END)), 0)
    assert seen == read


@pytest.mark.parametrize(
    ("name", "step"),
    [
        *((name, step) for name in ("ppo", "grpo", "rloo") for step in ({}, {"entropy_weight": 0.1, "target_kl": 1.0})),
        ("ppo", {"normalise": "minibatch"}),
    ],
    ids=str,
)
def test_the_update_is_the_same_where_the_batch_was_read_before(name, step):
    found = []
    for asked in (False, True):
        learner, batch = learner_of(name, **step), batch_of(TEXTS, END)
        known = scored(learner, batch)
        assert known.old is None
        if asked:
            known = dataclasses.replace(known, old=policy_says(learner, batch))
        report = token_algorithm(learner.config).update(learner, known, 0)
        found.append((dict(learner.models.trained(POLICY)), dataclasses.asdict(report)))
    (weights, report), (others, other) = found
    assert report == pytest.approx(other, abs=1e-5)
    for key, weight in weights.items():
        torch.testing.assert_close(weight, others[key], atol=1e-5, rtol=0)


TRAINED = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
WORTH = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
OLD = torch.tensor([[-1.0, -2.0, -9.0], [-9.0, -9.0, -9.0], [-1.0, -1.0, -4.0]], dtype=torch.float64)


def surrogate(counting):
    """Where the policy did not move, the surrogate is the mean advantage."""
    gains = Gains(WORTH, TRAINED, counting)
    return float(gains.judged(OLD).surrogate(gains.of_choices(OLD)))


@pytest.mark.parametrize(("counting", "mean"), [("tokens", 8 / 5), ("texts", 1.5), ("whole", 1.5)])
def test_what_the_mean_advantage_is_over(counting, mean):
    assert surrogate(counting) == pytest.approx(mean)


def test_a_whole_texts_log_probability_is_the_sum_of_its_trained_tokens():
    found = Gains(WORTH, TRAINED, "whole").of_choices(OLD)
    assert found.squeeze(1).tolist() == [-3.0, -6.0]


@pytest.mark.parametrize(("counting", "counts"), [("tokens", [2, 0, 3]), ("texts", [2, 0, 3]), ("whole", [1, 0, 1])])
def test_how_many_choices_a_text_is(counting, counts):
    assert Gains(WORTH, TRAINED, counting).choices.tolist() == counts


def test_a_text_without_trained_tokens_teaches_nothing():
    assert Gains(WORTH, TRAINED).texts.tolist() == [0, 2]
