"""A configuration has no setting that its algorithm would leave unread."""

import pytest
from pydantic import ValidationError

from teams_dagster.rlgf.config import RLGFConfig

LIKELIHOOD = (
    *({"clip": 0.1}, {"entropy_weight": 0.1}, {"target_kl": 0.1}, {"normalise": "minibatch"}),
    {"target_weight": 0.1},
)
IGNORED = [
    *((name, step) for name in ("bc", "expert_iteration", "dagger", "online_dpo") for step in LIKELIHOOD),
    *((name, {"normalise": "minibatch"}) for name in ("grpo", "rloo")),
]


@pytest.mark.parametrize(("name", "step"), IGNORED, ids=str)
def test_a_setting_that_the_algorithm_does_not_use_is_refused(name, step):
    [(setting, value)] = step.items()
    with pytest.raises(ValidationError, match=f"does not use step.{setting}, which is {value}: leave it out"):
        RLGFConfig.model_validate({"algorithm": {"name": name, "step": step}})


@pytest.mark.parametrize("name", ["bc", "expert_iteration", "grpo", "rloo", "dagger", "online_dpo", "gail"])
def test_what_was_written_down_in_full_is_read_again(name):
    config = RLGFConfig.model_validate({"algorithm": {"name": name, "step": {"epochs": 3}}})
    assert RLGFConfig.model_validate_json(config.model_dump_json()) == config


def test_online_dpo_takes_whole_pairs():
    with pytest.raises(
        ValidationError, match=r"step\.minibatch is 3: online DPO takes pairs of texts, so make it even"
    ):
        RLGFConfig.model_validate({"algorithm": {"name": "online_dpo", "step": {"minibatch": 3}}})
    with pytest.raises(ValidationError, match="texts is 3: give a multiple of the algorithm's group, which is 2"):
        RLGFConfig.model_validate({"algorithm": {"name": "online_dpo"}, "texts": 3})
