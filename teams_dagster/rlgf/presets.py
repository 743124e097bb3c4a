"""The paper's settings by name: RLGF (Chang et al. 2023, arXiv 2306.11816) as its code, TRIL 0.2.1, configures it.

What each names differently here, and what is not taken over, stands in docs/rlgf.md.
"""

from __future__ import annotations

from typing import Any

from teams_dagster.rlgf.config import RLGFConfig

PAPER_TASKS: dict[str, dict[str, Any]] = {
    "imdb": {
        "iterations": 50,
        "texts": 112,
        "minibatch": 28,
        "epochs": 5,
        "rate": {"learning_rate": 1e-5, "weight_decay": 1e-6, "schedule": "linear"},
        "whole": {
            "gamma": 0.99,
            "kl_reference": {"weight": 0.001},
            "max_new_tokens": 48,
            "decoding": {"top_k": 50},
            "guide_decoding": {"top_p": 0.92, "top_k": 50},
            "weights": {"kind": "full"},
        },
        "beta": {"ppo_plus_plus": 0.6, "aggrevated": 0.8},
        "switch": 20,
    },
    "commongen": {
        "iterations": 500,
        "texts": 128,
        "minibatch": 32,
        "epochs": 4,
        "rate": {"learning_rate": 5e-6, "weight_decay": 1e-6, "schedule": "linear"},
        "whole": {
            "gamma": 0.99,
            "kl_reference": None,
            "max_new_tokens": 20,
            "decoding": {},
            "guide_decoding": {"top_p": 0.92},
            "weights": {"kind": "full"},
        },
        "beta": {"ppo_plus_plus": 0.8, "aggrevated": 0.8},
        "switch": 100,
    },
    "tldr": {
        "iterations": 1000,
        "texts": 128,
        "minibatch": 32,
        "epochs": 4,
        "rate": {"learning_rate": 5e-6, "weight_decay": 0.01, "schedule": "constant"},
        "whole": {
            "gamma": 1.0,
            "kl_reference": {"weight": 0.002},
            "max_new_tokens": 50,
            "decoding": {},
            "guide_decoding": {"top_p": 0.92},
            "weights": {"kind": "lora", "rank": 8, "alpha": 64},
        },
        "beta": {"ppo_plus_plus": 0.8, "aggrevated": 1.0},
        "switch": 200,
    },
}
"""By the paper's tasks; of `rate` policy and critic alike."""

PAPER_ALGORITHMS = ("ppo", "ppo_plus_plus", "aggrevated", "lols", "d2lols")
"""The algorithms that the paper compares."""

MIXTURES = {"beta_learner": 0.8, "beta_guide": 0.8}
"""Of LOLS and D2LOLS, for every task."""
LOLS_TAU, GAE_LAMBDA = 0.8, 0.95


def preset(task: str, algorithm: str, *, target_weight: float = 0.0, **changes: Any) -> RLGFConfig:
    """The paper's configuration of `algorithm` (`ppo`, `aggrevated`, ...) for `task` (`imdb`, `commongen`, `tldr`).

    Args:
        target_weight: 0.1 in the paper's code; it needs a task with a reference for each prompt.
        changes: Settings of `RLGFConfig` that take the place of the paper's.

    Raises:
        ValueError: The paper has no such task or algorithm, or a change is refused.
    """
    if task not in PAPER_TASKS or algorithm not in PAPER_ALGORITHMS:
        raise ValueError(
            f"the paper has no {algorithm!r} for {task!r}: name one of {', '.join(PAPER_ALGORITHMS)} for one of"
            f" {', '.join(PAPER_TASKS)}"
        )
    said = PAPER_TASKS[task]
    passes = {**said["rate"], "epochs": said["epochs"], "minibatch": said["minibatch"]}
    step = {**passes, "clip": 0.2, "max_gradient_norm": 1.0, "adam_epsilon": 1e-5, "target_weight": target_weight}
    settings = {
        "algorithm": {"name": algorithm, **(step if algorithm == "ppo" else {"step": step, **_mixed(said, algorithm)})},
        "critic": {**passes, "value_clip": 0.2, "targets": "gae"},
        "iterations": said["iterations"],
        "texts": said["texts"],
        "gae_decay": GAE_LAMBDA,
        **said["whole"],
    }
    return RLGFConfig.model_validate({**settings, **changes})


def _mixed(said: dict[str, Any], algorithm: str) -> dict[str, Any]:
    """Who begins a text how often."""
    match algorithm:
        case "aggrevated":
            return {"beta": said["beta"][algorithm], "form": "mask"}
        case "lols":
            return {**MIXTURES, "tau": LOLS_TAU, "form": "mask"}
        case "d2lols":
            return {**MIXTURES, "switch": said["switch"], "form": "mask"}
        case _:
            return {"beta": said["beta"][algorithm]}
