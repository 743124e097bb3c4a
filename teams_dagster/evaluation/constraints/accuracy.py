"""How much of what the prompts ask of a reply's form is done: by prompt and by constraint, strictly and loosely."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.evaluation.constraints.prompts import ConstrainedPrompt
from teams_dagster.evaluation.constraints.verifying import kept, kept_loosely

ACCURACIES = ("prompt_strict", "prompt_loose", "constraint_strict", "constraint_loose")
"""Of prompts all of whose constraints are kept, and of constraints."""


@dataclass(frozen=True)
class Followed:
    """How many constraints of a prompt a reply keeps."""

    constraints: int
    strict: int
    loose: int

    def value(self, accuracy: str) -> float:
        """What the prompt adds to one of `ACCURACIES`: a share of its constraints, or all of them or nothing."""
        unit, _, how = accuracy.partition("_")
        counted: int = getattr(self, how)
        return counted / self.constraints if unit == "constraint" else float(counted == self.constraints)


def followed(prompt: ConstrainedPrompt, reply: str) -> Followed:
    """What `reply` keeps of what `prompt` asks."""
    return Followed(
        constraints=len(prompt.checks),
        strict=sum(kept(check, reply) for check in prompt.checks),
        loose=sum(kept_loosely(check, reply) for check in prompt.checks),
    )


def weight(prompt: ConstrainedPrompt, accuracy: str) -> int:
    """How much a prompt counts in one of `ACCURACIES`: as one, or as many as it has constraints."""
    return len(prompt.checks) if accuracy.startswith("constraint") else 1
