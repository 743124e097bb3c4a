"""Run configuration of `rlgf_model`: all that decides a training can be said, and what does not fit is refused."""

from typing import Any

import dagster as dg
import pytest

from assets.models.config import SettingsRefused
from assets.rlgf.config import RLGFSettings
from teams_dagster.rlgf.config import RLGFConfig


def settings(**config: Any) -> RLGFSettings:
    """As a step gets them from a run's configuration."""
    found: list[RLGFSettings] = []

    @dg.op
    def step(config: RLGFSettings) -> None:
        found.append(config)

    @dg.job
    def run() -> None:
        step()

    assert run.execute_in_process({"ops": {"step": {"config": config}}}).success
    return found[0]


def test_left_out_everything_is_as_the_method_has_it() -> None:
    assert settings().training() == RLGFConfig()


def test_every_field_of_the_method_can_be_set() -> None:
    assert set(RLGFConfig.model_fields) <= set(RLGFSettings.model_fields)


def test_what_is_said_reaches_the_method() -> None:
    training = settings(
        algorithm={"grpo": {"group": 2, "step": {"learning_rate": 0.5}}},
        weights={"rank": 3},
        decoding={"temperature": 0.7},
        kl_reference={"weight": 0},
        texts=6,
    ).training()
    given: dict[str, Any] = {
        "algorithm": {"name": "grpo", "group": 2, "step": {"learning_rate": 0.5, "epochs": 1, "minibatch": 0}},
        "weights": {"rank": 3},
        "decoding": {"temperature": 0.7},
        "kl_reference": None,
        "texts": 6,
    }
    assert training == RLGFConfig.model_validate(given)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"algorithm": {"grpo": {"group": 4}}, "texts": 6}, "give a multiple of the algorithm's group"),
        ({"kl_reference": {"weight": 0, "target": 0.1}}, "kl_reference has a target without a `weight`"),
        ({"most_queries": 9}, "most_queries is 9, and neither GUIDE nor JUDGE is asked"),
        ({"algorithm": {"grpo": {}}, "guide": "role"}, "guide is role, and grpo has no guide"),
    ],
)
def test_settings_that_do_not_fit_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsRefused, match=said):
        settings(**config).training()


def test_verdicts_of_a_prompts_two_texts_make_another_model_where_a_judge_gives_them() -> None:
    pairs = {"algorithm": {"online_dpo": {}}, "texts": 6}
    assert settings(task="dataset_answers", **pairs).deciding["verdicts"] == "of a prompt's two texts"
    assert "verdicts" not in settings(**pairs).deciding
    assert "verdicts" not in settings(task="dataset_answers").deciding


def test_a_bound_on_queries_makes_another_model_where_there_is_one() -> None:
    unbounded, bounded = settings(task="dataset_answers"), settings(task="dataset_answers", most_queries=9)
    assert "most_queries" not in unbounded.deciding
    assert bounded.deciding["most_queries"] == 9
    assert bounded.training().version != unbounded.training().version


def test_the_number_of_prompts_decides_the_datasets_task_alone() -> None:
    assert settings(prompts=5).deciding == settings(prompts=6).deciding
    assert settings(task="dataset_answers", prompts=5).deciding != settings(task="dataset_answers", prompts=6).deciding
