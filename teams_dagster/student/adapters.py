"""LoRA (Hu et al. 2021, arXiv 2106.09685) and QLoRA adapters of a student, or the whole student, fine-tuned.

TRL's SFTTrainer does the training. It takes examples that are already tokens with labels, so that the very encoding
the evaluation uses is what is trained on, and it runs on CPUs, on GPUs and on NF4 bases alike.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig, AdapterKind
from teams_dagster.student.answering import draw_examples
from teams_dagster.student.chat import template_version
from teams_dagster.student.conversation import dialect_of
from teams_dagster.student.curves import TrainingPoint
from teams_dagster.student.loading import (
    FourBitProof,
    Recipe,
    Student,
    load_student,
    load_tokenizer,
    logits_of,
    prove_four_bit,
)
from teams_dagster.student.precision import Precision, decided_precision
from teams_dagster.student.rows import Rows, encode_rows
from teams_dagster.student.threads import threads_for
from teams_dagster.student.trainer import checkpoint_to_resume, make_trainer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VALIDATION_SHARE = 0.5
"""Of the time that a training's updates take, what measuring validation examples may take beside."""
PASSES_OF_AN_UPDATE = 3
"""A forward and a backward pass, in forward passes."""
FEWEST_MEASURED = 16
"""Validation examples that are measured in any case."""


@dataclass(frozen=True)
class AdapterReport:
    """What a training run made."""

    kind: AdapterKind
    updates: int
    planned_updates: int
    """More than `updates` where it stopped early."""
    kept_update: int
    """The update whose weights were kept: the last, or with early stopping that of the lowest validation loss."""
    trainable_parameters: int
    examples: int
    validation_examples: int
    validation_unmeasured: int
    """Validation examples that were not measured, so that measuring does not outlast the training."""
    response_tokens: int
    """Tokens that carry loss in one pass over the training examples."""
    too_long: tuple[str, ...]
    """Sample ids left out, of training and validation, because they exceed `max_length`."""
    unwritable: tuple[str, ...]
    """Sample ids left out, of training and validation, because their tokens do not decode to their response."""
    template: str
    device: str
    processes: int
    dtype: str
    precision: str
    """Why it was computed in that."""
    target_modules: tuple[str, ...]
    """Kinds of layers that carry an adapter."""
    four_bit: FourBitProof | None
    """Packed bytes and logit gap of the base; None for LoRA."""
    reasoned: int
    """Training examples that were learnt with what was thought before their response."""
    curve: tuple[TrainingPoint, ...]
    """From step 0, the base itself, where there are validation examples."""


def train_adapter(
    base: str | Path,
    train: Iterable[Example],
    validation: Iterable[Example],
    folder: Path,
    config: AdapterConfig,
    progress: Callable[[str], None] = lambda _: None,
    *,
    checkpoints: Path | None = None,
) -> AdapterReport:
    """Trains `base` on `train`, and saves an adapter in PEFT format to `folder`, or for `full` the whole model.

    Everything is safetensors, with its recipe beside it. `validation` is only measured, unless `patience` stops by it.
    On a CPU the same arguments and number of threads give the same weights. With a folder for `checkpoints`, a training
    that was killed goes on from its last one and ends with the same weights and curve; the caller removes them.

    Raises ValueError when `train` is empty, none of it fits `max_length`, or `patience` has no validation to look at.
    """
    tokenizer, _ = load_tokenizer(base, config.template)
    rows, held, unmeasured = _encoded(tokenizer, train, validation, config)
    scratch = tempfile.TemporaryDirectory(prefix="teams-trainer-") if checkpoints is None else nullcontext(checkpoints)
    with scratch as place:
        precision = decided_precision(config, base, Path(place))
        student, proof = _load(base, config, precision, probe=rows.table["input_ids"][0].as_py())
        trainer, cadence = make_trainer(student, rows, held, config, Path(place), progress, precision.torch_dtype)
        last = checkpoint_to_resume(Path(place), cadence.updates, config.patience)
        if last is not None:
            progress(f"going on from {last.name} of an interrupted training")
            trainer.args.eval_on_start = False  # the base was measured when the training began
        with threads_for(student.model):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    _save(trainer, student, folder, config)
    best = trainer.state.best_global_step if config.patience is not None else None
    return AdapterReport(
        kind=config.kind,
        updates=trainer.state.global_step,
        planned_updates=cadence.updates,
        kept_update=best or trainer.state.global_step,
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        examples=len(rows),
        validation_examples=len(held),
        validation_unmeasured=unmeasured,
        response_tokens=rows.response_tokens,
        too_long=(*rows.too_long, *held.too_long),
        unwritable=(*rows.unwritable, *held.unwritable),
        template=student.template,
        device=str(trainer.model.device),
        processes=trainer.args.world_size,
        dtype=str(student.model.dtype).removeprefix("torch."),
        precision=precision.reason,
        target_modules=_targets(trainer.model),
        four_bit=proof,
        reasoned=rows.reasoned,
        curve=_curve(trainer.state.log_history),
    )


def _encoded(
    tokenizer: PreTrainedTokenizerBase, train: Iterable[Example], validation: Iterable[Example], config: AdapterConfig
) -> tuple[Rows, Rows, int]:
    """What is learnt, what is measured, and how many examples of `validation` are not. Raises ValueError as above."""
    rows = encode_rows(tokenizer, train, config.max_length, config.reasoning)
    if not len(rows):
        raise ValueError("no training examples: make the instruction dataset first")
    if config.reasoning != "none" and not rows.reasoned:
        raise ValueError(
            f"reasoning: {config.reasoning} has nothing to train on, because no training example has a thought: make"
            " expert_responses with `reasoning: true` and the dataset again, or leave reasoning `none`"
        )
    measured, unmeasured = bounded_validation(list(validation), len(rows), config)
    held = encode_rows(tokenizer, measured, config.max_length, config.reasoning)
    if config.patience is not None and not len(held):
        raise ValueError(f"patience {config.patience} needs validation examples, and there are none: leave it out")
    return rows, held, len(unmeasured)


def _save(trainer: Any, student: Student, folder: Path, config: AdapterConfig) -> None:
    """Writes weights and recipe, by the first process alone; weights that are spread over several are gathered."""
    spread = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped) if spread else None
    if not trainer.is_world_process_zero():
        return
    if config.kind == "full":
        trainer.model.save_pretrained(str(folder), state_dict=weights)
        student.tokenizer.save_pretrained(str(folder))  # pyright: ignore[reportUnknownMemberType]
    else:
        for adapter in trainer.model.peft_config.values():  # a set, which each process would write in another order
            adapter.target_modules = sorted(adapter.target_modules)
        trainer.model.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
        (folder / "README.md").unlink()  # PEFT's model card: a form with nothing filled in
    recipe = Recipe(
        kind=config.kind,
        template=student.template,
        template_version=template_version(student.tokenizer),
        max_length=config.max_length,
        clock=dialect_of(student.tokenizer).clock,
        reasoning=None if config.reasoning == "none" else config.reasoning,
    )
    recipe.save(folder)


def bounded_validation(
    examples: list[Example], trained: int, config: AdapterConfig
) -> tuple[list[Example], tuple[str, ...]]:
    """The validation examples that are measured, and the sample ids of the others.

    All of them, unless measuring them `evaluations` times and once before would take more than VALIDATION_SHARE of what
    `trained` examples take: then as many as that, one of each seed before any second one of a seed.
    """
    updates = config.max_steps or max(1, round(config.epochs * -(-trained // config.examples_per_update)))
    forward_passes = PASSES_OF_AN_UPDATE * updates * config.examples_per_update
    most = max(FEWEST_MEASURED, int(VALIDATION_SHARE * forward_passes / (config.evaluations + 1)))
    drawn = {example.sample_id for example in draw_examples(examples, most, seed=config.seed)}
    kept = [example for example in examples if example.sample_id in drawn]
    return kept, tuple(example.sample_id for example in examples if example.sample_id not in drawn)


def _load(
    base: str | Path, config: AdapterConfig, precision: Precision, probe: list[int]
) -> tuple[Student, FourBitProof | None]:
    """The base as it is trained, and for QLoRA the proof that it is in 4 bits."""
    dtype = torch.float32 if config.kind == "full" else precision.torch_dtype
    load = partial(load_student, base, dtype=dtype, template=config.template)
    if config.kind != "qlora":
        return load(), None
    # In float only to be asked once, beside no other model and on no GPU: a training takes no more memory for it
    full = logits_of(load(place="cpu").model, probe)
    gc.collect()  # its parts know each other: they would stay until some later collection
    student = load(four_bit=True, double_quantisation=config.double_quantisation)
    return student, prove_four_bit(student.model, full, probe)


def _targets(model: Any) -> tuple[str, ...]:
    return tuple(
        sorted(
            {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if ".lora_A" in name}
        )
    )


def _curve(history: Sequence[dict[str, Any]]) -> tuple[TrainingPoint, ...]:
    """The trainer's log, one point a step."""
    steps = sorted({entry["step"] for entry in history if "loss" in entry or "eval_loss" in entry})

    def at(step: int, name: str) -> float | None:
        return next((float(e[name]) for e in history if e["step"] == step and name in e), None)

    return tuple(TrainingPoint(step, at(step, "loss"), at(step, "eval_loss")) for step in steps)
