"""LoRA (Hu et al. 2021, arXiv 2106.09685) and QLoRA adapters of a student, trained on the response only.

TRL's SFTTrainer does the training. It takes examples that are already tokens with labels, so that the very encoding
the evaluation uses is what is trained on, and it runs on CPUs, on GPUs and on NF4 bases alike.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from huggingface_hub import constants as hub_constants
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback, set_seed
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.chat import Encoded, encode_examples, template_version
from teams_dagster.student.curves import TrainingPoint
from teams_dagster.student.loading import Recipe, Student, load_student
from teams_dagster.student.quantisation import FourBitProof, prove_four_bit
from teams_dagster.student.threads import threads_for

POINTS = 25
"""Training losses recorded over a run."""
EVALUATIONS = 4
"""Validation losses recorded after the first update, beside the one before it."""


@dataclass(frozen=True)
class AdapterReport:
    """What a training run made."""

    kind: str
    updates: int
    trainable_parameters: int
    examples: int
    validation_examples: int
    response_tokens: int
    """Tokens that carry loss in one pass over the training examples."""
    too_long: tuple[str, ...]
    """Sample ids left out, of training and validation, because they exceed `max_length`."""
    template: str
    device: str
    dtype: str
    four_bit: FourBitProof | None
    """Packed bytes and logit gap of the base; None for LoRA."""
    curve: tuple[TrainingPoint, ...]
    """From step 0, the base itself, where there are validation examples."""


def train_adapter(
    base: str | Path,
    train: Sequence[Example],
    validation: Sequence[Example],
    folder: Path,
    config: AdapterConfig,
    progress: Callable[[str], None] = lambda _: None,
) -> AdapterReport:
    """Trains an adapter of `base` on `train` and saves it to `folder` in PEFT format (safetensors) with its recipe.

    `validation` is only measured. On a CPU the same arguments and number of threads give the same weights.

    Raises ValueError when `train` is empty or none of it fits `max_length`.
    """
    if not train:
        raise ValueError("no training examples: make the instruction dataset first")
    student = load_student(base, four_bit=config.kind == "qlora")
    rows, too_long = encode_examples(student.tokenizer, train, config.max_length)
    held, held_too_long = encode_examples(student.tokenizer, validation, config.max_length)
    proof = _proof(base, student, rows[0]) if student.four_bit else None
    with threads_for(student.model), tempfile.TemporaryDirectory(prefix="teams-trainer-") as scratch:
        trainer = _trainer(student, rows, held, config, scratch, progress)
        trainer.train()
    trainer.model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink()  # PEFT's model card: a form with nothing filled in
    Recipe(config.kind, student.template, template_version(student.tokenizer), config.max_length).save(folder)
    return AdapterReport(
        kind=config.kind,
        updates=trainer.state.global_step,
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        examples=len(rows),
        validation_examples=len(held),
        response_tokens=sum(row.response_tokens for row in rows),
        too_long=(*too_long, *held_too_long),
        template=student.template,
        device=str(student.model.device),
        dtype=str(student.model.dtype).removeprefix("torch."),
        four_bit=proof,
        curve=_curve(trainer.state.log_history),
    )


def _trainer(
    student: Student,
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    config: AdapterConfig,
    scratch: str,
    progress: Callable[[str], None],
) -> Any:
    """An SFTTrainer ready to run: no reports, no checkpoints, no usage ping."""
    _silence_usage_ping()
    gpu = torch.cuda.is_available()
    per_update = config.batch_size * config.gradient_accumulation
    updates = config.max_steps or max(1, round(config.epochs * -(-len(train) // per_update)))
    set_seed(config.seed)  # the adapter's first weights are drawn when the trainer is made
    trainer: Any = SFTTrainer(
        model=student.model,
        args=SFTConfig(
            output_dir=scratch,
            max_steps=updates,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation,
            activation_checkpointing=gpu,
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, updates // 20),
            logging_steps=max(1, updates // POINTS),
            eval_strategy="steps" if validation else "no",
            eval_steps=max(1, updates // EVALUATIONS),
            eval_on_start=bool(validation),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            bf16=gpu,
            use_cpu=not gpu,
            train_sampling_strategy="group_by_length",
            max_length=None,
            seed=config.seed,
            data_seed=config.seed,
        ),
        train_dataset=_dataset(train),
        eval_dataset=_dataset(validation) if validation else None,
        processing_class=student.tokenizer,
        callbacks=[_Progress(f"training the {config.kind} adapter", progress)],
        peft_config=LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=config.target_modules,
            task_type="CAUSAL_LM",
        ),
    )
    trainer.remove_callback(PrinterCallback)
    if not gpu:  # the trainer makes QLoRA's adapter bfloat16: on a CPU that is slower and loses small updates
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return trainer


def _silence_usage_ping() -> None:
    """TRL reports each trainer to a usage server unless told not to, here and in processes started from here."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True  # read when the library was imported, perhaps before the line above


def _dataset(examples: Sequence[Encoded]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(example.input_ids) for example in examples],
            "labels": [list(example.labels) for example in examples],
        }
    )


def _proof(base: str | Path, student: Student, probe: Encoded) -> FourBitProof:
    full = load_student(base)
    return prove_four_bit(student.model, full.model, list(probe.input_ids))


def _curve(history: Sequence[dict[str, Any]]) -> tuple[TrainingPoint, ...]:
    """The trainer's log, one point a step."""
    steps = sorted({entry["step"] for entry in history if "loss" in entry or "eval_loss" in entry})

    def at(step: int, name: str) -> float | None:
        return next((float(e[name]) for e in history if e["step"] == step and name in e), None)

    return tuple(TrainingPoint(step, at(step, "loss"), at(step, "eval_loss")) for step in steps)


class _Progress(TrainerCallback):
    """Tells `progress` each loss the trainer logs, and ties each pass's order to the seed."""

    def __init__(self, label: str, progress: Callable[[str], None]) -> None:
        self._label = label
        self._progress = progress

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Grouping by length draws from the global stream, which an evaluation before would have moved on
        torch.manual_seed(args.seed + round(state.epoch or 0))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        names = {"loss": "loss", "eval_loss": "validation loss"}
        losses = [f"{names[key]} {float(value):.3f}" for key, value in (logs or {}).items() if key in names]
        if losses:
            self._progress(f"{self._label}: step {state.global_step}/{state.max_steps}, {', '.join(losses)}")
