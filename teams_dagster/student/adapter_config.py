"""How an adapter is trained: settings only, so that reading them imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AdapterKind = Literal["lora", "qlora"]


class AdapterConfig(BaseModel):
    """Settings of one training run. The defaults suit models of billions of parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AdapterKind
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"
    """`all-linear`: every linear layer but the output one, found in the architecture; or the names of modules."""
    learning_rate: float = Field(default=2e-4, gt=0)
    epochs: float = Field(default=3.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Updates; overrules `epochs`."""
    batch_size: int = Field(default=8, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    max_length: int = Field(default=1024, ge=8)
    """Tokens of prompt and response; longer examples are left out whole and named in the report."""
    seed: int = Field(default=0, ge=0)


def embedded_adapter_config(kind: AdapterKind, *, seed: int = 0) -> AdapterConfig:
    """The settings for the embedded student, which is small enough for a large step.

    It knows so little beforehand that the number of updates decides what it learns: hence small batches.
    """
    return AdapterConfig(kind=kind, learning_rate=8e-3, epochs=1.0, batch_size=8, max_length=768, seed=seed)
