"""`python -m benchmarks.rlgf.beside_trl`: GRPO and RLOO of this project beside those of TRL, in one run.

Each measurement is a process of its own: a LoRA adapter of all linear layers, four texts of each prompt, one step of
AdamW on each batch, no price on leaving the model, one thread, float32, the same prompts and reward. Both sides take
turns, so that what else the machine does meets both. Times are processor times of whole updates, sampling included,
without loading, evaluation and checkpoints; memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rlgf.run import SCRATCH, base_of

HERE = Path(__file__).parent
GROUP, RATE, RANK, ALPHA = 4, 1e-3, 8, 64
ALGORITHMS, SIDES = ("grpo", "rloo"), ("ours", "trl")


@dataclass(frozen=True)
class Sizes:
    """What both sides are given."""

    model: str
    """A folder."""
    updates: int
    texts: int
    length: int


@dataclass(frozen=True)
class Measured:
    """One process."""

    side: str
    algorithm: str
    tokens: int
    """Generated in all updates but the first, which warms up."""
    seconds: float
    """Of processor time, of the same updates."""
    reward: float
    """Earned by their texts together."""
    gigabytes: float
    """Peak of the process."""


def vowels(texts: Sequence[str]) -> list[float]:
    """Share of letters that are vowels: a text of any model earns some of it."""
    return [sum(letter in "aeiou" for letter in text.lower()) / max(1, len(text)) for text in texts]


def measure(side: str, algorithm: str, sizes: Sizes) -> Measured:
    """Trains in this process."""
    import torch

    torch.set_num_threads(1)
    marks: list[tuple[float, float]] = []
    """After each batch was rewarded: processor time, and what its texts earned."""

    def mark(rewards: Sequence[float]) -> None:
        marks.append((time.process_time(), sum(rewards)))

    tokens = (_ours if side == "ours" else _trl)(algorithm, sizes, mark)
    return Measured(
        side=side,
        algorithm=algorithm,
        tokens=sum(tokens[1:]),
        seconds=marks[-1][0] - marks[0][0],  # from one rewarded batch to another: learning and sampling of each
        reward=sum(reward for _, reward in marks[1:]),
        gigabytes=_peak(),
    )


def _peak() -> float:
    """GB that this process has held at most; getrusage would count those of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 2**20


def _ours(algorithm: str, sizes: Sizes, mark: Any) -> list[int]:
    """Tokens of each batch."""
    import torch

    from teams_dagster.rlgf.config import RLGFConfig
    from teams_dagster.rlgf.task import load_task
    from teams_dagster.rlgf.training import TokenTraining
    from teams_dagster.student.loading import load_student

    step = {"learning_rate": RATE, "epochs": 1, "minibatch": 0, "schedule": "constant", "weight_decay": 0.0}
    config = RLGFConfig.model_validate(
        {
            "algorithm": {"name": algorithm, "group": GROUP, "step": step},
            "iterations": sizes.updates,
            "texts": sizes.texts,
            "max_new_tokens": sizes.length,
            "weights": {"rank": RANK, "alpha": ALPHA},
            "kl_reference": None,
            "at_once": sizes.texts,
            "checkpoint_every": sizes.updates + 1,
        }
    )
    student = load_student(sizes.model, dtype=torch.float32, place="cpu")

    def rewards(_: Sequence[str], texts: Sequence[str]) -> list[float]:
        return vowels(texts)

    def batch(_: Sequence[str], texts: Sequence[str]) -> list[float]:
        earned = vowels(texts)
        mark(earned)
        return earned

    with tempfile.TemporaryDirectory() as folder:
        task = load_task("positive_continuation")
        report = TokenTraining(
            student,
            task,
            config,
            Path(folder),
            base=sizes.model,
            reward=rewards,
            reward_name="vowels",
            batch_reward=batch,
        ).run(until=sizes.updates)
    return [record.learner_tokens for record in report.records]


def _trl(algorithm: str, sizes: Sizes, mark: Any) -> list[int]:
    """Tokens of each batch."""
    import huggingface_hub.constants
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer import grpo_config, grpo_trainer, rloo_config, rloo_trainer

    from teams_dagster.rlgf.task import load_task

    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    words: Any = AutoTokenizer.from_pretrained(sizes.model, padding_side="left")

    tokens: list[int] = []

    def rewards(completions: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        earned = vowels(completions)
        mark(earned)
        return earned

    settings, trainer, more = {
        "grpo": (grpo_config.GRPOConfig, grpo_trainer.GRPOTrainer, {"loss_type": "grpo"}),
        "rloo": (rloo_config.RLOOConfig, rloo_trainer.RLOOTrainer, {}),
    }[algorithm]
    with tempfile.TemporaryDirectory() as folder:
        arguments = settings(
            output_dir=folder,
            per_device_train_batch_size=sizes.texts,
            num_generations=GROUP,
            max_completion_length=sizes.length,
            max_steps=sizes.updates,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            beta=0.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            **more,
        )
        trainer(
            model=AutoModelForCausalLM.from_pretrained(sizes.model, dtype=torch.float32),
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": list(load_task("positive_continuation").prompts)}),
            reward_funcs=rewards,
            processing_class=words,
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
        ).train()
    return tokens


def page(found: Sequence[Measured], sizes: Sizes, called: str) -> str:
    """The table of one model, medians over the processes of a side."""
    lines = [
        f"## {called}",
        "",
        f"{sizes.updates - 1} updates of {sizes.texts} texts of at most {sizes.length} tokens, after one that warms up;"
        f" {len(found) // (len(ALGORITHMS) * len(SIDES))} processes a side.",
        "",
        "| | tokens a processor second | peak memory, GB | reward a thousand tokens |",
        "| --- | --- | --- | --- |",
    ]
    for algorithm in ALGORITHMS:
        of_sides = {side: [m for m in found if (m.side, m.algorithm) == (side, algorithm)] for side in SIDES}
        figures = {side: _figures(measured) for side, measured in of_sides.items()}
        for side in SIDES:
            lines.append(f"| {algorithm}, {side} | " + " | ".join(f"{value:.4g}" for value in figures[side]) + " |")
        ratios = (f"{own / other:.2f}" for own, other in zip(figures["ours"], figures["trl"], strict=True))
        lines.append(f"| {algorithm}, ours over TRL's | " + " | ".join(ratios) + " |")
    return "\n".join(lines) + "\n"


def _figures(measured: Sequence[Measured]) -> tuple[float, float, float]:
    return (
        median(m.tokens / m.seconds for m in measured),
        median(m.gigabytes for m in measured),
        median(1000 * m.reward / m.tokens for m in measured),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["embedded"], help="folders; `embedded`: the tiny base")
    parser.add_argument("--updates", type=int, default=9)
    parser.add_argument("--texts", type=int, default=16, help="a batch")
    parser.add_argument("--length", type=int, default=16, help="tokens of a text at most")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each side and algorithm")
    parser.add_argument("--output", type=Path, default=HERE / "TRL.md", help="the page; its rows lie beside it")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        sizes = Sizes(given.models[0], given.updates, given.texts, given.length)
        print(json.dumps(asdict(measure(given.one[0], given.one[1], sizes))))
        return
    parts, rows = ["# RLGF's GRPO and RLOO beside TRL's", "", __doc__ or ""], list[str]()
    for model in given.models:
        sizes = Sizes(base_of(model, SCRATCH), given.updates, given.texts, given.length)
        found = [
            _apart(side, algorithm, sizes) for _ in range(given.repeats) for algorithm in ALGORITHMS for side in SIDES
        ]
        rows += [json.dumps({"model": model, **asdict(one)}) for one in found]
        parts += [page(found, sizes, model)]
    given.output.with_suffix(".jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    given.output.write_text("\n".join(parts), encoding="utf-8")


def _apart(side: str, algorithm: str, sizes: Sizes) -> Measured:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rlgf.beside_trl", "--one", side, algorithm, "--models", sizes.model]
    command += ["--updates", str(sizes.updates), "--texts", str(sizes.texts), "--length", str(sizes.length)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    measured = Measured(**json.loads(done.stdout.splitlines()[-1]))
    print(measured, flush=True)
    return measured


if __name__ == "__main__":
    main()
