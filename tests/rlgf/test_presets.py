"""The paper's settings by name."""

import pytest

from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.presets import PAPER_ALGORITHMS, PAPER_TASKS, preset


@pytest.mark.parametrize("task", PAPER_TASKS)
@pytest.mark.parametrize("algorithm", PAPER_ALGORITHMS)
def test_every_algorithm_of_the_paper_has_its_settings_for_every_task(task, algorithm):
    config = preset(task, algorithm)
    assert config.algorithm.name == algorithm
    assert config.texts == PAPER_TASKS[task]["texts"]
    assert RLGFConfig.model_validate_json(config.model_dump_json()) == config


def test_policy_and_critic_take_the_same_passes():
    config = preset("imdb", "ppo")
    for name in ("learning_rate", "weight_decay", "schedule", "epochs", "minibatch"):
        assert getattr(config.step, name) == getattr(config.critic, name)
    assert (config.step.learning_rate, config.step.epochs, config.step.minibatch) == (1e-5, 5, 28)


@pytest.mark.parametrize(
    ("task", "algorithm", "settings"),
    [
        ("imdb", "ppo_plus_plus", {"beta": 0.6}),
        ("tldr", "aggrevated", {"beta": 1.0, "form": "mask"}),
        ("commongen", "lols", {"tau": 0.8, "beta_learner": 0.8, "beta_guide": 0.8}),
        ("tldr", "d2lols", {"switch": 200}),
    ],
)
def test_what_mixes_guide_and_learner_is_the_papers(task, algorithm, settings):
    said = preset(task, algorithm).model_dump()["algorithm"]
    assert {name: said[name] for name in settings} == settings


def test_references_are_learnt_where_it_is_said():
    assert preset("imdb", "ppo").step.target_weight == 0.0
    assert preset("imdb", "lols", target_weight=0.1).step.target_weight == 0.1


def test_a_setting_can_be_changed():
    config = preset("commongen", "ppo", iterations=3)
    assert (config.iterations, config.max_new_tokens) == (3, 20)


@pytest.mark.parametrize(("task", "algorithm"), [("imdb", "grpo"), ("mnist", "ppo")])
def test_what_the_paper_does_not_have_is_told_with_what_it_has(task, algorithm):
    with pytest.raises(ValueError, match=rf"no '{algorithm}' for '{task}'.*aggrevated.*commongen"):
        preset(task, algorithm)
