"""A configuration has no setting that its algorithm would leave unread."""

import pytest
from pydantic import ValidationError

from teams_dagster.rlgf.config import RLGFConfig

LIKELIHOOD = ({"clip": 0.1}, {"entropy_weight": 0.1}, {"target_kl": 0.1}, {"normalise": "minibatch"})
IGNORED = [
    *((name, step) for name in ("bc", "expert_iteration") for step in LIKELIHOOD),
    *((name, {"normalise": "minibatch"}) for name in ("grpo", "rloo")),
]


@pytest.mark.parametrize(("name", "step"), IGNORED, ids=str)
def test_a_setting_that_the_algorithm_does_not_use_is_refused(name, step):
    [(setting, value)] = step.items()
    with pytest.raises(ValidationError, match=f"does not use step.{setting}, which is {value}: leave it out"):
        RLGFConfig.model_validate({"algorithm": {"name": name, "step": step}})


@pytest.mark.parametrize("name", ["bc", "expert_iteration", "grpo", "rloo"])
def test_what_was_written_down_in_full_is_read_again(name):
    config = RLGFConfig.model_validate({"algorithm": {"name": name, "step": {"epochs": 3}}})
    assert RLGFConfig.model_validate_json(config.model_dump_json()) == config
