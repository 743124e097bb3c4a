"""Facts of the models: the base and its adapters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.store.facts.base import Facts, Hidden, Shown


class BaseFacts(Facts):
    """Facts of `base_model`: those of the pre-training are None where a student is configured, and the other way."""

    student: str
    """The configured student, a folder or hub id; `embedded` for the one that is made on the spot."""
    embedded: bool
    parameters: int | None = None
    vocabulary: int | None = None
    steps: int | None = None
    final_loss: float | None = None
    unpacked: Annotated[bool, Hidden()] = False
    """Whether the configured student was in a GGUF file: its weights are then in the artefact, as safetensors."""
    template: str | None = None
    """The chat template of a configured student: `tokenizer` (its own) or `alpaca` (it brings none)."""
    end_token: str | None = None
    """What ends each answer of a configured student."""
    template_clock: str | None = None
    """The time that a configured student's chat template is told, where it asks."""
    notes: Annotated[list[str], Shown(form="; ".join)] = Field(default_factory=list)
    """What somebody should know who asks a configured student with other tools."""


class FourBit(BaseModel):
    """What shows that a base was in 4 bits."""

    model_config = ConfigDict(frozen=True)

    layers: int
    weights: int
    packed_bytes: int
    logit_gap: float
    """Largest absolute difference of logits from the float base's."""


class AdapterFacts(Facts):
    """Facts of an adapter: the training's report without its curve, its settings, and what to be warned of."""

    kind: str
    updates: int
    planned_updates: Annotated[int, Hidden()]
    kept_update: int
    trainable_parameters: int
    examples: int
    validation_examples: Annotated[int, Hidden()]
    validation_unmeasured: Annotated[int, Hidden()] = 0
    """Validation examples that were not measured, so that measuring does not outlast the training."""
    response_tokens: int
    too_long: int
    """Examples left out because they exceed the longest length."""
    unwritable: int = 0
    """Examples left out because the student's tokenizer cannot write their response."""
    reasoned: int = 0
    """Training examples that were learnt with what was thought before their response."""
    template: str
    device: str
    processes: int
    dtype: str
    precision: Annotated[str | None, Hidden()] = None
    """Why it was computed in `dtype`; None for one made before that was recorded."""
    target_modules: Annotated[list[str], Hidden()]
    four_bit: FourBit | None = None
    """None where the base was not in 4 bits."""
    settings: dict[str, Any]
    """An `AdapterConfig`."""
    departures_from_paper: Annotated[list[str], Shown(form=", ".join)] = Field(default_factory=list)
    warnings: Annotated[list[str], Shown(form=". ".join)] = Field(default_factory=list)
    final_loss: float | None = None
    validation_loss: float | None = None
