"""A training on the embedded student: it raises its reward, and goes on from its checkpoint bit for bit."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from teams_dagster.policy.algorithms.batch import Who
from teams_dagster.rlgf.collecting import Prompt
from teams_dagster.rlgf.config import DecodingConfig, RLGFConfig, TokenCriticConfig, WeightsConfig
from teams_dagster.rlgf.guides import LocalWriter
from teams_dagster.rlgf.models import POLICY
from teams_dagster.rlgf.sampling import Vocabulary
from teams_dagster.rlgf.sequences import EndReason, Text, batch_of
from teams_dagster.rlgf.targets import targets
from teams_dagster.rlgf.task import Task
from teams_dagster.rlgf.training import CHECKPOINT, MODEL, REPORT, TokenTraining
from teams_dagster.student.loading import Recipe, load_adapter, load_student

TASK = Task(
    name="vowels",
    reward="positivity",
    prompts=("The box was", "A list of", "In the morning", "My friend"),
    evaluation=("The end of", "One of the"),
)

GUIDE = LocalWriter(nullcontext, Vocabulary(frozenset({0}), 0), DecodingConfig(), at_once=1)


@dataclass
class Chant:
    """A guide that always writes the same."""

    tokenizer: Any

    @property
    def tokens(self):
        return tuple(self.tokenizer(" la la la la", add_special_tokens=False)["input_ids"])

    def write(self, begun):
        return [self.tokens[: text.room] for text in begun]

    def text(self, prompt):
        return Text("any", prompt, self.tokens, (Who.GUIDE,) * len(self.tokens), EndReason.LENGTH)


def vowels(_, texts):
    """Share of letters that are vowels: any text earns some of it."""
    return [sum(letter in "aeiou" for letter in text.lower()) / max(1, len(text)) for text in texts]


def config_of(name="ppo_plus_plus", iterations=4, discriminator=None, step=(), **more):
    step = {"learning_rate": 3e-3, "epochs": 2, "minibatch": 0, **dict(step)}
    algorithm = {"name": "ppo", **step} if name == "ppo" else {"name": name, "step": step}
    algorithm |= {"discriminator": discriminator} if discriminator else {}
    settings = {"texts": 8, "max_new_tokens": 6, "critic": TokenCriticConfig(epochs=1), "checkpoint_every": 2}
    return RLGFConfig.model_validate({"algorithm": algorithm, "iterations": iterations, **settings, **more})


def training(base: Path, folder: Path, config: RLGFConfig, **more) -> TokenTraining:
    student = load_student(base, place="cpu", dtype=torch.float32)
    settings = {"task": TASK, "reward": vowels, "reward_name": "vowels"} | more
    return TokenTraining(student, config=config, folder=folder, base="base", **settings)


def bits(trained: TokenTraining) -> list[bytes]:
    return [weight.detach().numpy().tobytes() for weight in trained.learner.models.trained(POLICY).values()]


def test_a_reward_of_batches_needs_one_that_measures(base, tmp_path):
    with pytest.raises(ValueError, match="batch_reward is given without reward"):
        training(base, tmp_path, config_of("online_dpo"), reward=None, reward_name=None, batch_reward=vowels)


def test_a_reward_of_batches_is_learnt_from_and_not_measured(base, tmp_path):
    batches: list[list[str]] = []

    def second(prompts, texts):
        batches.append(list(prompts))
        return [0.0, 1.0] * (len(texts) // 2)

    report = training(base, tmp_path, config_of("online_dpo", iterations=1), batch_reward=second).run()
    assert [(len(prompts), set(prompts) <= {*TASK.prompts}) for prompts in batches] == [(8, True)]
    assert report.records[0].reward == 0.5
    assert all(evaluation.metrics.reward not in (0.0, 0.5) for evaluation in report.evaluations)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo_plus_plus", "grpo", "dagger", "gail", "online_dpo"])
def test_a_training_that_stopped_goes_on_bit_for_bit(base, tmp_path, name):
    whole = training(base, tmp_path / "whole", config_of(name))
    report = whole.run()
    training(base, tmp_path / "parts", config_of(name)).run(until=2)
    resumed = training(base, tmp_path / "parts", config_of(name))
    assert resumed.run() == report
    assert bits(resumed) == bits(whole)


@dataclass
class Counted:
    """A reward that takes a query for each text."""

    queries: int = 0

    def __call__(self, prompts, texts):
        self.queries += len(texts)
        return vowels(prompts, texts)


@pytest.mark.parametrize("name", ["grpo", "online_dpo"])
def test_trainings_of_equal_queries_end_with_the_batch_that_reaches_them(base, tmp_path, name):
    config, folder = config_of(name, most_queries=12), tmp_path / "parts"

    def counted(folder):
        reward = Counted()
        return training(base, folder, config, reward=reward, queries=lambda: reward.queries)

    report = counted(tmp_path / "whole").run()
    assert [record.queries for record in report.records] == [8, 8]
    assert report.evaluations[-1].iteration == 2
    counted(folder).run(until=1)
    assert counted(folder).run() == report


def test_a_bound_on_queries_that_nobody_counts_is_refused(base, tmp_path):
    with pytest.raises(ValueError, match="most_queries is 5, and guide and reward ask nobody"):
        training(base, tmp_path, config_of(most_queries=5))


def test_a_finished_training_is_read_and_not_trained_again(base, tmp_path):
    report = training(base, tmp_path, config_of(iterations=1)).run()
    told = []
    assert training(base, tmp_path, config_of(iterations=1), progress=told.append).run() == report
    assert not told


def test_a_checkpoint_of_another_training_is_refused(base, tmp_path):
    training(base, tmp_path, config_of(iterations=1)).run()
    with pytest.raises(ValueError, match="holds a checkpoint of another training"):
        training(base, tmp_path, config_of(iterations=2)).run()


def test_a_checkpoint_that_another_reward_or_guide_led_to_is_refused(base, tmp_path):
    training(base, tmp_path, config_of(iterations=2)).run(until=1)
    for other in ({"reward_name": "consonants"}, {"guide": GUIDE, "guide_name": "another"}):
        with pytest.raises(ValueError, match="holds a checkpoint of another training"):
            training(base, tmp_path, config_of(iterations=2), **other).run()


@pytest.mark.parametrize(
    ("given", "missing"), [({"reward_name": None}, "reward_name"), ({"guide": GUIDE}, "guide_name")]
)
def test_a_reward_or_guide_without_a_name_is_refused(base, tmp_path, given, missing):
    with pytest.raises(ValueError, match=f"without {missing}"):
        training(base, tmp_path, config_of(), **given)


def test_what_was_learnt_on_four_bits_is_loaded_on_four_bits(base, tmp_path):
    student = load_student(base, four_bit=True, place="cpu", dtype=torch.float32)
    config = config_of("grpo", iterations=1, max_new_tokens=2)
    TokenTraining(student, TASK, config, tmp_path, base="base").run()
    assert Recipe.load(tmp_path / MODEL).kind == "qlora"


def test_all_weights_of_a_base_in_four_bits_are_not_trained(base, tmp_path):
    student = replace(load_student(base, place="cpu", dtype=torch.float32), four_bit=True)
    with pytest.raises(ValueError, match=r"weights\.kind is full, and the base is in 4 bits"):
        TokenTraining(student, TASK, config_of(weights=WeightsConfig(kind="full")), tmp_path, base="base")


def test_the_report_counts_the_tokens_of_learner_and_guide(base, tmp_path):
    report = training(base, tmp_path, config_of("aggrevated", iterations=2)).run()
    said = json.loads((tmp_path / REPORT).read_text())
    assert said["records"][0]["guide_tokens"] == report.records[0].guide_tokens > 0
    assert report.evaluations[-1].tokens == report.learner_tokens + report.guide_tokens
    assert [evaluation.iteration for evaluation in report.evaluations] == [0, 2]
    assert (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_what_was_learnt_is_loaded_like_any_adapter(base, tmp_path, kind):
    trained = training(base, tmp_path, config_of(iterations=1, weights=WeightsConfig(kind=kind)))
    trained.run()
    loaded = load_adapter(base, tmp_path / MODEL)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad(), trained.learner.models.using(POLICY) as policy:
        found, expected = loaded.model(ids).logits, policy(ids).logits
        with trained.learner.models.reference() as first:
            assert not torch.equal(expected, first(ids).logits)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_reward_of_fluency_is_of_the_model_before_training(base, tmp_path):
    task = Task(name="fluent", reward="fluency", metrics=("fluency",), prompts=("The box was",), evaluation=("One of",))
    given = {"reward": None, "reward_name": None, "task": task}
    config = config_of("ppo", iterations=2, texts=2, evaluation_texts=2)
    report = training(base, tmp_path, config, **given).run()
    for evaluation in report.evaluations:
        assert evaluation.metrics.task == {"fluency": pytest.approx(evaluation.metrics.reward)}
    assert all(0 < record.reward < 1 for record in report.records)
    assert training(base, tmp_path, config, **given).run() == report


def test_a_batch_is_read_once_by_the_model_before_training_for_reward_price_and_metrics(base, tmp_path, monkeypatch):
    task = Task(name="fluent", reward="fluency", metrics=("fluency",), prompts=("The box was",), evaluation=("One of",))
    config = config_of("ppo", iterations=1, texts=2, evaluation_texts=2)
    trained = training(base, tmp_path, config, reward=None, reward_name=None, task=task)
    read, compute = [], trained.learner.reference_log_probabilities
    monkeypatch.setattr(trained.learner, "reference_log_probabilities", lambda part: read.append(1) or compute(part))
    trained.run()
    assert len(read) == 3, "the batch, and the texts that are measured before and after"


REFERRED = TASK.model_copy(update={"references": dict.fromkeys(TASK.prompts, "full of old coins")})
"""The same with a reference for each prompt."""


def test_references_become_likelier_where_they_are_learnt_beside_the_reward(base, tmp_path):
    def likelihood(weight):
        config = config_of("grpo", iterations=4, step={"target_weight": weight})
        trained = training(base, tmp_path / str(weight), config, task=REFERRED)
        trained.run()
        known = targets(trained.student.tokenizer, REFERRED, [Prompt("The box was", (5, 6))], 0, 6)
        scores = trained.learner.policy_scores(batch_of([*known.values()], 0)).log_probabilities
        return float(scores.sum())

    assert likelihood(1.0) > likelihood(0.0)


def test_a_task_without_references_has_none_to_learn(base, tmp_path):
    config = RLGFConfig.model_validate({"algorithm": {"name": "ppo", "target_weight": 0.1}})
    with pytest.raises(ValueError, match="prompt 'The box was' of task vowels has none: give the task file a `ref"):
        training(base, tmp_path, config)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dagger", "gail"])
def test_a_short_training_on_a_guide_raises_the_likelihood_of_its_texts(base, tmp_path, name):
    guide = Chant(load_student(base, place="cpu").tokenizer)
    discriminator = {"learning_rate": 3e-3, "head_learning_rate": 3e-2, "epochs": 5} if name == "gail" else None
    config = config_of(name, iterations=10, texts=16, kl_reference=None, discriminator=discriminator)
    trained = training(base, tmp_path, config, guide=guide, guide_name="chant")
    batch = batch_of([guide.text(prompt) for prompt in [(5, 6), (7,)]], 0)

    def likelihood():
        return float(trained.learner.policy_log_probabilities(batch).sum())

    before = likelihood()
    trained.run()
    assert likelihood() > before + 1


@pytest.mark.parametrize("name", ["ppo", "grpo", "online_dpo"])
def test_a_short_training_raises_its_reward(base, tmp_path, name):
    config = config_of(name, iterations=8, texts=16, weights=WeightsConfig(rank=4), kl_reference=None)
    report = training(base, tmp_path, config).run()
    first, last = report.evaluations[0].metrics, report.evaluations[-1].metrics
    assert sum(record.reward for record in report.records[-2:]) > sum(record.reward for record in report.records[:2])
    assert last.kl > first.kl == 0.0
