"""One training by one side, in a process of its own: `python -m benchmarks.training.measure --side ours ...`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from benchmarks.policy.process import Cost, cost_of
from benchmarks.training.student import make_examples
from teams_dagster.core.instruction import user_message
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.chat import encode_example
from teams_dagster.student.loading import load_tokenizer
from teams_dagster.student.quiet import quieten_transformers

OURS, PLAIN, PLAIN_RANDOM = "ours", "plain", "plain_random"
MAX_LENGTH = 1024


@dataclass(frozen=True)
class Measured:
    """What a training took, from the base on the disk to the last update."""

    tokens: int
    """Prompt and response tokens trained on, padding left out."""
    cost: Cost
    gpu_peak_mb: float
    """0 on a CPU."""
    final_loss: float


def main() -> None:
    """The command line; the last line of stdout is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("side", "kind", "base"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("examples", "batch-size", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    quieten_transformers()
    examples = make_examples(asked.examples)
    config = AdapterConfig(kind=asked.kind, epochs=1, batch_size=asked.batch_size, max_length=MAX_LENGTH)
    tokenizer, _ = load_tokenizer(asked.base)
    tokens = sum(len(encode_example(tokenizer, example, MAX_LENGTH).input_ids) for example in examples)
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = _work(asked.side, asked.base, examples, config, Path(scratch), losses)
        cost = cost_of(work)
    gpu = torch.cuda.max_memory_allocated() / 1024**2 if torch.cuda.is_available() else 0.0
    print(json.dumps(asdict(Measured(tokens, cost, gpu, losses[-1]))))


def _work(
    side: str, base: str, examples: Sequence[Example], config: AdapterConfig, scratch: Path, losses: list[float]
) -> Callable[[], None]:
    def ours() -> None:
        report = train_adapter(base, examples, [], scratch / "model", config, checkpoints=scratch / "checkpoints")
        losses.extend(point.loss for point in report.curve if point.loss is not None)

    def plain() -> None:
        losses.extend(_plain(base, examples, config, scratch, grouped=side == PLAIN))

    return ours if side == OURS else plain


def _plain(
    base: str, examples: Sequence[Example], config: AdapterConfig, scratch: Path, *, grouped: bool
) -> list[float]:
    """The script that TRL's documentation shows, with the same settings and the same number of checkpoints."""
    gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if gpu else torch.float32
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype, quantization_config=four_bit if config.kind == "qlora" else None
    )
    updates = -(-len(examples) // config.batch_size)
    trainer: Any = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(scratch),
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, updates // 20),
            logging_steps=max(1, updates // 25),
            save_steps=max(1, updates // 10),
            save_total_limit=2,
            max_length=config.max_length,
            activation_checkpointing=gpu,
            bf16=gpu,
            use_cpu=not gpu,
            report_to="none",
            disable_tqdm=True,
            train_sampling_strategy="group_by_length" if grouped else "random",
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": [{"role": "user", "content": user_message(example.instruction)}],
                    "completion": [{"role": "assistant", "content": example.response}],
                }
                for example in examples
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=config.rank, lora_alpha=config.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    main()
