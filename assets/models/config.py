"""Run configuration of the models: the method's own settings, as the Launchpad shows them."""

from typing import Any, Literal

import dagster as dg
from pydantic import Field, ValidationError

from assets.materialize import AssetConfig
from teams_dagster.student.adapter_config import (
    AdapterConfig,
    AdapterKind,
    Launcher,
    TrainedReasoning,
    paper_config,
    student_config,
)

Preset = Literal["student", "paper", "paper_full"]

HOW_IT_RUNS = {"force", "preset", "launcher", "processes"}
"""Settings that are not the training's own."""


class BaseConfig(AssetConfig):
    """How the embedded student is made. A configured one is taken as it is."""

    seed: int = Field(default=0, description="Seed of the first weights and of the order of the texts.")
    steps: int = Field(default=280, ge=1, description="Pre-training updates of the embedded student.")


class SettingsRefused(ValueError):
    """Settings that do not fit each other."""


class AdapterSettings(AssetConfig):
    """How an adapter is trained. What is left out (None, `preset`) is as the preset says."""

    preset: Preset = Field(
        default="student",
        description="`student`: what suits this student; `paper`: the paper's template, masking, length and epochs with"
        " a learning rate for adapters; `paper_full`: the paper's fine-tuning of every weight (lora_model only).",
    )
    template: Literal["preset", "auto", "tokenizer", "alpaca"] = Field(
        default="preset",
        description="`tokenizer`: the chat template that the base brings; `alpaca`: the paper's; `auto`: the first"
        " where there is one.",
    )
    learning_rate: float | None = Field(default=None, gt=0, description="Peak learning rate.")
    scheduler: Literal["preset", "cosine", "linear", "constant", "constant_with_warmup"] = Field(
        default="preset", description="How the learning rate falls after its peak."
    )
    warmup_updates: int | None = Field(default=None, ge=0, description="Updates until the peak.")
    epochs: float | None = Field(default=None, gt=0, description="Passes over the training side.")
    max_steps: int | None = Field(default=None, ge=1, description="Updates; overrules the epochs.")
    rank: int | None = Field(default=None, ge=1, description="Rank of the adapter's matrices.")
    alpha: int | None = Field(default=None, ge=1, description="Scale of the adapter, divided by the rank.")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="Share of the adapter's inputs left out.")
    target_modules: list[str] | None = Field(
        default=None, description="Names of the layers that get an adapter; left out: every linear one but the output."
    )
    double_quantisation: bool | None = Field(
        default=None, description="QLoRA: the constants of the 4-bit blocks are quantised as well."
    )
    batch_size: int | None = Field(default=None, ge=1, description="Examples that a device computes at once.")
    gradient_accumulation: int | None = Field(default=None, ge=1, description="Batches a device computes an update.")
    max_length: int | None = Field(default=None, ge=8, description="Longest example in tokens, prompt and response.")
    reasoning: TrainedReasoning = Field(
        default="none",
        description="What was thought before an answer: `none`: not trained on; `template`: as the chat template"
        " writes `reasoning_content`; `think`: a <think> block before the answer.",
    )
    packing: bool | None = Field(
        default=None, description="Several examples share a row, each attending to itself alone."
    )
    precision: Literal["preset", "auto", "bf16", "fp32"] = Field(
        default="preset", description="`auto`: bf16 where a GPU has it, or a CPU was measured to be faster in it."
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Activations are computed twice instead of kept; left out: on a GPU."
    )
    evaluations: int | None = Field(default=None, ge=1, description="Validation losses over a run.")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after so many validation losses without a better one; keep the best."
    )
    checkpoint_every: int | None = Field(default=None, ge=1, description="Updates between checkpoints, at least.")
    seed: int = Field(default=0, ge=0, description="Seed of first weights, dropout and the order of the examples.")
    launcher: Launcher = Field(
        default="none",
        description="`none`: one process; `ddp`: one for each GPU; `fsdp`, `deepspeed`: weights spread over GPUs"
        " (these two were not run on a GPU yet).",
    )
    processes: int = Field(default=0, ge=0, description="Processes of the launcher; 0: one for each GPU.")

    def resolved(self, kind: AdapterKind, *, embedded: bool) -> AdapterConfig:
        """The training's settings: the preset, and what is given on top of it. Raises SettingsRefused."""
        if self.preset == "paper_full":
            if kind == "qlora":
                raise SettingsRefused("preset paper_full trains every weight, and 4-bit ones cannot be: use lora_model")
            kind = "full"
        if kind == "qlora" and self.launcher in ("fsdp", "deepspeed"):
            raise SettingsRefused(f"launcher {self.launcher} cannot spread a 4-bit base: use ddp, or lora_model")
        try:
            return AdapterConfig.model_validate(self._preset(kind, embedded).model_dump() | self._given())
        except ValidationError as error:
            said = "; ".join(fault["msg"] for fault in error.errors())
            raise SettingsRefused(f"these settings do not fit each other: {said}") from None

    @property
    def deciding(self) -> dict[str, Any]:
        """What of this decides the adapter. Training on thoughts is later than adapters that were made without."""
        settings = self.model_dump(mode="json", exclude={"force"})
        return settings if self.reasoning != "none" else {k: v for k, v in settings.items() if k != "reasoning"}

    def _preset(self, kind: AdapterKind, embedded: bool) -> AdapterConfig:
        if self.preset != "student":
            return paper_config(kind)
        return student_config(kind, embedded=embedded)

    def _given(self) -> dict[str, Any]:
        fields = self.model_dump(exclude=HOW_IT_RUNS).items()
        return {name: value for name, value in fields if value is not None and value != "preset"}


Trained = Literal["lora", "qlora"]


class MergeConfig(dg.Config):
    """Which adapter, and where to."""

    model: Trained = Field(default="lora", description="Whose current adapter.")
    to: str = Field(
        default="", description="A new or empty folder; left out: merged/<model>-<version> in the data folder."
    )


class PushConfig(dg.Config):
    """What goes where."""

    model: Trained = Field(default="lora", description="Whose current adapter.")
    repo_id: str = Field(description="The hub's repository, `name/model`; made where it is missing.")
    merged: bool = Field(default=False, description="The adapter merged into its base, instead of the adapter alone.")
    private: bool = Field(default=True, description="Whether a repository that is made now is private.")
