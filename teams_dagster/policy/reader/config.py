"""Who reads a state for the policy. Plain values: reading them needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

STUDENT = "student"
"""The base that the project's student is."""


class FeatureReaderConfig(BaseModel):
    """Features of the text, the operations so far and the step (`policy.features`), read by a small network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["features"] = "features"


class LanguageModelReaderConfig(BaseModel):
    """A prompt, read by a causal language model that names the operation; a LoRA adapter of it is what learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["language_model"] = "language_model"
    base: str = Field(
        default=STUDENT,
        min_length=1,
        description=f"Folder or hub id of a causal language model; `{STUDENT}`: the project's own, asset `base_model`.",
    )
    rank: int = Field(default=8, ge=1, description="Rank of the adapter.")
    alpha: int = Field(default=16, ge=1, description="Its scale is alpha / rank.")
    prior: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How much of its own preference among the operations the base brings along: 0, none, so that an"
        " untrained policy draws uniformly; 1, all of it.",
    )
    instruction_tokens: int = Field(
        default=64, ge=8, description="Tokens of the text that are read: of a longer one its two ends."
    )
    input_tokens: int = Field(default=32, ge=8, description="The same of its input.")
    states_at_once: int = Field(
        default=64,
        ge=1,
        description="States whose gradients are in memory at once; where there are more, each part is computed twice.",
    )


ReaderConfig = Annotated[FeatureReaderConfig | LanguageModelReaderConfig, Field(discriminator="kind")]
"""Who reads."""
