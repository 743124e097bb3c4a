"""The two lines from seeds to an adapter: the trained policy's, and the uniform policy's, which it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.contenders import TRAINED


@dataclass(frozen=True)
class Arm:
    """The policy of a line and the keys of its assets: nothing of one arm is read as the other's."""

    policy: str
    """As table `transitions` names it."""
    instructions: str
    responses: str
    dataset: str
    title: str
    """Of its data card."""
    limits: tuple[str, ...] = ()
    """What its data card says beside what holds for both."""


TRAINED_ARM = Arm(TRAINED, "generated_instructions", "expert_responses", "instruction_dataset", "TeaMs-RL instructions")


UNIFORM_ARM = Arm(
    UNIFORM,
    "uniform_instructions",
    "uniform_responses",
    "uniform_dataset",
    "TeaMs-RL instructions, uniform arm",
    (
        "This is the uniform arm: each operation was drawn with the same probability, at as many queries as the"
        " learned policy asked. It is there to be compared with, not to be trained on for use.",
    ),
)


ARMS = (TRAINED_ARM, UNIFORM_ARM)


def arm_of(asset_key: str) -> Arm:
    """The arm that an asset of instructions, answers or examples belongs to. Raises ValueError for any other."""
    for arm in ARMS:
        if asset_key in (arm.instructions, arm.responses, arm.dataset):
            return arm
    raise ValueError(f"{asset_key} belongs to no arm: give one of a generation, its answers, or a dataset")
