"""How a student is trained, and the file that asks a script to do so: settings and paths only.

Reading them imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

AdapterKind = Literal["lora", "qlora", "full"]
Template = Literal["auto", "tokenizer", "alpaca"]
Precision = Literal["auto", "bf16", "fp32"]
Scheduler = Literal["cosine", "linear", "constant", "constant_with_warmup"]
TrainedReasoning = Literal["none", "template", "think"]
Launcher = Literal["none", "ddp", "fsdp", "deepspeed"]

FEWEST_UPDATES = 100
"""Updates below which a training says that it hardly trained."""


class AdapterConfig(BaseModel):
    """Settings of one training run. The defaults suit models of billions of parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AdapterKind = Field(description="`lora`, `qlora` (the same on a 4-bit base), or `full`: every weight.")
    template: Template = Field(
        default="auto",
        description="`tokenizer`: the chat template that the base brings; `alpaca`: the paper's; `auto`: the first"
        " where there is one, else the second.",
    )
    rank: int = Field(default=16, ge=1, description="Rank of the adapter's matrices.")
    alpha: int = Field(default=32, ge=1, description="Scale of the adapter, divided by the rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the adapter's inputs left out at training.")
    target_modules: str | list[str] = Field(
        default="all-linear",
        description="`all-linear`: every linear layer but the output one, found in the architecture; or module names.",
    )
    double_quantisation: bool = Field(
        default=True, description="QLoRA: the constants of the 4-bit blocks are quantised as well."
    )
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak learning rate.")
    scheduler: Scheduler = Field(default="cosine", description="How the learning rate falls after its peak.")
    warmup_updates: int | None = Field(
        default=None, ge=0, description="Updates until the peak; None: a twentieth of them, at least one."
    )
    epochs: float = Field(default=3.0, gt=0, description="Passes over the training side.")
    max_steps: int | None = Field(default=None, ge=1, description="Updates; overrules `epochs`.")
    stop_after: int | None = Field(
        default=None, ge=1, description="Updates after which it ends, on the schedule of all of them; None: at its end."
    )
    batch_size: int = Field(default=8, ge=1, description="Examples (packed: rows) that a device computes at once.")
    gradient_accumulation: int = Field(default=1, ge=1, description="Batches a device computes before an update.")
    max_length: int = Field(
        default=1024,
        ge=8,
        description="Tokens of prompt and response; longer examples are left out whole and named in the report."
        " With packing, also the length of a row.",
    )
    reasoning: TrainedReasoning = Field(
        default="none",
        description="Thoughts of the dataset: `none`: not trained on; `template`: as the chat template writes"
        " `reasoning_content`; `think`: as a <think> block before the answer.",
    )
    packing: bool = Field(
        default=False, description="Several examples share a row, each attending to itself alone, positions from 0."
    )
    precision: Precision = Field(
        default="auto",
        description="`bf16`, `fp32`, or `auto`: bf16 where a GPU has it, or a CPU was measured to be faster in it.",
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Activations are computed twice instead of kept; None: on a GPU."
    )
    evaluations: int = Field(default=4, ge=1, description="Validation losses over a run, besides the base's own.")
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after so many validation losses without a better one, and keep the best; None: never.",
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Updates between checkpoints, at least; None: a tenth of the run."
    )
    seed: int = Field(default=0, ge=0, description="Seed of first weights, dropout and the order of the examples.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "full" and self.dropout:
            raise ValueError(f"dropout {self.dropout} is the adapter's: full fine-tuning has none, leave it 0")
        return self

    @property
    def examples_per_update(self) -> int:
        """Examples (packed: rows) that one process computes before an update."""
        return self.batch_size * self.gradient_accumulation


def embedded_adapter_config(kind: AdapterKind, *, seed: int = 0) -> AdapterConfig:
    """The settings for the embedded student, which is small enough for a large step.

    It knows so little beforehand that the number of updates decides what it learns: hence small batches.
    """
    return AdapterConfig(
        kind=kind, learning_rate=8e-3, epochs=1.0, batch_size=8, max_length=768, evaluations=2, seed=seed
    )


def student_config(kind: AdapterKind, *, embedded: bool) -> AdapterConfig:
    """What suits the student: the embedded one, or one that was configured."""
    return embedded_adapter_config(kind) if embedded else AdapterConfig(kind=kind)


PAPER_LEARNING_RATE = 2e-5
PAPER_ADAPTER_LEARNING_RATE = 2e-4


def paper_config(kind: AdapterKind, *, seed: int = 0) -> AdapterConfig:
    """The paper's fine-tuning: Alpaca's template, loss on the response, 512 tokens, 3 epochs, 256 examples an update.

    Its scripts ask for a cosine, but the DeepSpeed configuration beside them makes the decay linear, which is what
    ran. They cut answers at 512 tokens; here such an example is left out and named. `full` has their learning rate,
    2e-5; an adapter, which they do not train, needs a larger one and has ten times that.
    """
    return AdapterConfig(
        kind=kind,
        template="alpaca",
        learning_rate=PAPER_LEARNING_RATE if kind == "full" else PAPER_ADAPTER_LEARNING_RATE,
        scheduler="linear",
        warmup_updates=2,
        epochs=3.0,
        batch_size=8,
        gradient_accumulation=32,
        max_length=512,
        gradient_checkpointing=True,
        seed=seed,
    )


def departures_from_paper(config: AdapterConfig) -> list[str]:
    """How `config` differs from the fine-tuning that the paper describes, in words."""
    faithful = paper_config("full")
    compared = [
        "template",
        "learning_rate",
        "scheduler",
        "warmup_updates",
        "examples_per_update",
        "max_length",
        "packing",
    ]
    found = [] if config.kind == "full" else [f"{config.kind} instead of full fine-tuning"]
    if config.max_steps is None:
        compared.append("epochs")
    else:
        found.append(f"{config.max_steps} updates instead of {faithful.epochs} epochs")
    for name in compared:
        ours, theirs = getattr(config, name), getattr(faithful, name)
        if ours != theirs:
            found.append(f"{name} {ours} instead of {theirs}")
    return found


def too_few_updates(updates: int) -> str | None:
    """What to say of a training with so few updates; None when there are enough."""
    if updates >= FEWEST_UPDATES:
        return None
    return (
        f"only {updates} updates, fewer than {FEWEST_UPDATES}: the model hardly changes, and its scores say little."
        " More samples, more epochs or a smaller batch make more"
    )


REQUEST, REPORT, FAILURE = "request.json", "report.json", "failure.txt"


MODEL, CHECKPOINTS, LOCK = "model", "checkpoints", ".training.lock"


WORKING_FILES = (REQUEST, FAILURE, LOCK)
"""Files in a training's folder that are nothing to keep once it has ended well; so is the folder of checkpoints."""


class ProcessRequest(BaseModel):
    """A training in a process of its own, and the folder that it may write to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Where everything is written; one training at a time.")
    parent: int | None = Field(
        description="Process that the training must not outlive; None where a cluster ends it with its job."
    )

    def save(self) -> Path:
        """Writes it into its folder; returns the file."""
        path = self.folder / REQUEST
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads it. Raises ValueError where it is not one."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


class TrainingRequest(ProcessRequest):
    """One adapter's training: what is trained goes to `model/`, its report beside it."""

    base: str = Field(description="Folder or hub id of the student before training.")
    train: Path = Field(description="Parquet file of the training side.")
    validation: Path = Field(description="Parquet file of the validation side.")
    config: AdapterConfig = Field(description="How it is trained.")
    launcher: Launcher = Field(default="none", description="`none`: one process; or an accelerate configuration.")
    processes: int = Field(default=0, ge=0, description="Processes of the launcher; 0: one for each GPU.")
