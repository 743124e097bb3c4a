"""TRL's SFTTrainer, set up so that a training is a function of its settings, examples and seed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow.compute as pc
import torch
from datasets import Dataset  # pyright: ignore[reportMissingTypeStubs]
from huggingface_hub import constants as hub_constants
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback, set_seed
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.loading import Student
from teams_dagster.student.rows import LengthGrouped, Rows
from teams_dagster.student.threads import SMALL

COMPLETE = "complete"
"""A file that a checkpoint gets last: one without it was being written when its process died."""
PREFIX = "checkpoint-"


def stalled(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` validation losses brought nothing better than the best before them."""
    if not losses:
        return False
    best = min(range(len(losses)), key=losses.__getitem__)
    return len(losses) - 1 - best >= patience


def validation_losses(history: Sequence[dict[str, Any]]) -> list[float]:
    """Those in a trainer's log, in order, the base's own first."""
    return [float(entry["eval_loss"]) for entry in history if "eval_loss" in entry]


def mark_complete(folder: Path, step: int) -> None:
    """States that the checkpoint after `step` updates is written."""
    (folder / f"{PREFIX}{step}" / COMPLETE).touch()


def checkpoint_to_resume(folder: Path, updates: int, patience: int | None) -> Path | None:
    """The latest checkpoint that something is left to do after; whatever is later or half written is removed.

    A trainer that is started at its last update would make one more: then the checkpoint before that is taken.
    """
    found = sorted(folder.glob(f"{PREFIX}*"), key=_step, reverse=True)
    for checkpoint in found:
        if (checkpoint / COMPLETE).exists() and not _finished(checkpoint, updates, patience):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def _finished(checkpoint: Path, updates: int, patience: int | None) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    losses = validation_losses(state["log_history"])
    return state["global_step"] >= updates or (patience is not None and stalled(losses, patience))


POINTS = 25
"""Training losses recorded over a run."""
CHECKPOINTS = 10
"""Checkpoints written over a run, where the settings do not say how often."""
KEPT = 2
"""Checkpoints that lie on the disk at once, besides the best one."""


@dataclass(frozen=True)
class Cadence:
    """When a training logs, measures and saves, in updates."""

    updates: int
    logging: int
    evaluation: int
    saving: int

    @classmethod
    def of(cls, config: AdapterConfig, rows: int, processes: int) -> Cadence:
        """For `rows` a pass, shared by `processes`.

        Losses are logged when a checkpoint is written: a mean over updates on both sides of it would be lost. Where
        the best checkpoint is wanted, one is written at each evaluation.
        """
        per_update = config.batch_size * config.gradient_accumulation * processes
        updates = config.max_steps or max(1, round(config.epochs * -(-rows // per_update)))
        logging = max(1, updates // POINTS)
        evaluation = -(-updates // config.evaluations)  # the last one falls on the last update
        if config.patience is not None:
            evaluation = _multiple(evaluation, logging)
            return cls(updates, logging, evaluation, evaluation)
        saving = config.checkpoint_every or max(1, updates // CHECKPOINTS)
        return cls(updates, logging, evaluation, _multiple(saving, logging))


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


TOKENS_AT_ONCE = 1_024
"""Tokens that a large student computes at once on a CPU, of one or more rows: activations grow with them."""


def rows_at_once(config: AdapterConfig, longest: int) -> int:
    """How many rows of a batch a large student computes at once on a CPU, where the longest has `longest` tokens.

    A divisor of the batch, so that the rest of it is accumulated: the same update in less memory.
    """
    size = config.batch_size
    fitting = (rows for rows in range(1, size + 1) if size % rows == 0 and rows * longest <= TOKENS_AT_ONCE)
    return max(fitting, default=1)


def make_trainer(
    student: Student,
    train: Rows,
    validation: Rows,
    config: AdapterConfig,
    checkpoints: Path,
    progress: Callable[[str], None],
    precision: torch.dtype,
) -> tuple[Any, Cadence]:
    """A trainer ready to run in `precision`, and its cadence: no reports, no usage ping."""
    _silence_usage_ping()
    set_seed(config.seed)  # the adapter's first weights are drawn when the trainer is made
    held = _dataset(validation) if len(validation) else None
    whole = torch.cuda.is_available() or student.model.num_parameters() < SMALL
    at_once = (
        config.batch_size if whole else rows_at_once(config, config.max_length if config.packing else train.longest)
    )
    arguments = _arguments(config, checkpoints, at_once, precision, validated=held is not None)
    trainer: Any = _Trainer(
        model=student.model,
        args=arguments,
        train_dataset=_dataset(train),
        eval_dataset=held,
        processing_class=student.tokenizer,
        peft_config=None if config.kind == "full" else _lora(config),
    )
    processes = cast(int, arguments.world_size)  # pyright: ignore[reportUnknownMemberType]
    cadence = Cadence.of(config, len(trainer.train_dataset), processes)
    _follow(trainer.args, cadence, config)
    trainer.add_callback(_Discipline(trainer, config, cadence, checkpoints, progress))
    trainer.remove_callback(PrinterCallback)
    if not torch.cuda.is_available():  # QLoRA's adapter is made bfloat16: on a CPU slower, and it loses small updates
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return trainer, cadence


def _arguments(
    config: AdapterConfig, checkpoints: Path, at_once: int, precision: torch.dtype, *, validated: bool
) -> SFTConfig:
    gpu = torch.cuda.is_available()
    best = config.patience is not None and validated
    return SFTConfig(
        output_dir=str(checkpoints),
        max_steps=1,  # set once the packed rows are counted
        per_device_train_batch_size=at_once,
        per_device_eval_batch_size=at_once,
        gradient_accumulation_steps=config.examples_per_update // at_once,
        activation_checkpointing=gpu if config.gradient_checkpointing is None else config.gradient_checkpointing,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        eval_strategy="steps" if validated else "no",
        eval_on_start=validated,
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss" if best else None,
        save_strategy="steps",
        save_total_limit=KEPT,
        report_to="none",
        disable_tqdm=True,
        bf16=precision is torch.bfloat16,
        use_cpu=not gpu,
        packing=config.packing,
        max_length=config.max_length if config.packing else None,
        eval_packing=False,
        seed=config.seed,
        data_seed=config.seed,
    )


def _follow(arguments: SFTConfig, cadence: Cadence, config: AdapterConfig) -> None:
    arguments.max_steps = cadence.updates
    arguments.logging_steps = cadence.logging
    arguments.eval_steps = cadence.evaluation
    arguments.save_steps = cadence.saving
    warmup = config.warmup_updates
    arguments.warmup_steps = max(1, cadence.updates // 20) if warmup is None else warmup


def _lora(config: AdapterConfig) -> LoraConfig:
    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.target_modules,
        task_type="CAUSAL_LM",
    )


def _silence_usage_ping() -> None:
    """TRL reports each trainer to a usage server unless told not to, here and in processes started from here."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True  # read when the library was imported, perhaps before the line above


def _dataset(rows: Rows) -> Dataset:
    return Dataset(rows.table)  # pyright: ignore[reportArgumentType] (pyarrow's own too)


class _Trainer(SFTTrainer):
    """The trainer with an order of examples of its own."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        dataset = cast(Any, self).train_dataset if train_dataset is None else train_dataset
        lengths = pc.call_function("list_value_length", [dataset.data.column("input_ids")]).to_pylist()
        arguments: Any = self.args
        per_update = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        self.order = LengthGrouped(lengths, per_update, arguments.seed)
        return self.order


class _Discipline(TrainerCallback):
    """Ties order and dropout to the seed, tells of losses, stops early, measures at the end, marks checkpoints."""

    def __init__(
        self, trainer: Any, config: AdapterConfig, cadence: Cadence, checkpoints: Path, progress: Callable[[str], None]
    ) -> None:
        self._trainer = trainer
        self._config = config
        self._cadence = cadence
        self._checkpoints = checkpoints
        self._progress = progress

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._trainer.order.epoch = int(state.epoch or 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Each update draws from its own stream: what was drawn before, by an evaluation or a first start, is nothing
        seed = (args.seed * 1_000_003 + state.global_step) * 1_009 + args.process_index
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        last = min(state.max_steps, self._config.stop_after or state.max_steps)
        if state.global_step >= last and str(args.eval_strategy.value) != "no":
            control.should_evaluate = True
        if state.global_step >= last:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        patience = self._config.patience
        if patience is not None and stalled(validation_losses(state.log_history), patience):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            mark_complete(self._checkpoints, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        names = {"loss": "loss", "eval_loss": "validation loss"}
        losses = [f"{names[key]} {float(value):.3f}" for key, value in (logs or {}).items() if key in names]
        if losses and state.is_world_process_zero:
            steps = f"step {state.global_step}/{state.max_steps}"
            self._progress(f"training the {self._config.kind} model: {steps}, {', '.join(losses)}")
