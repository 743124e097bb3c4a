"""`python -m benchmarks.rlgf.run`: a language model learns a task by several algorithms at equal generated tokens.

Tokens of learner and guide count alike. The guide is the model before any training with nucleus sampling, as in the
paper, and of `NAME@praise` or `NAME@examples` the same model after a sentence of praise or worked examples, which is a
better one for positive continuation or for concepts. Each training has its folder under benchmarks/.runs, which git
ignores, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.policy.process import ROOT
from benchmarks.rlgf.guides import algorithm_and_guide, better_guide
from benchmarks.rlgf.report import Outcome, page
from teams_dagster.core.hashing import content_hash
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.task import Task, load_task
from teams_dagster.rlgf.training import TokenTraining
from teams_dagster.student.base import build_embedded_base
from teams_dagster.student.loading import load_student

SCRATCH = ROOT / "benchmarks" / ".runs" / "rlgf"
HERE = Path(__file__).parent
ENDLESS = 10_000
"""Iterations: the tokens end a training."""
AT_ONCE = 64
"""Texts computed at once, at least: an evaluation's texts are written in one go."""


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = parsed(given)
    outcomes: list[Outcome] = []
    for name in arguments.algorithms:  # one whole with all seeds before the next, so that a run cut short has intervals
        for seed in range(arguments.seeds):
            outcomes.append(run(arguments, name, seed))
            write(outcomes, arguments)


def write(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    """The page of the trainings that are done, and its rows beside it."""
    apart = ("algorithms", "seeds", "output", "scratch")
    settings = {key: value for key, value in vars(arguments).items() if key not in apart}
    rows = [json.dumps({**settings, **asdict(outcome)}) for outcome in outcomes]
    arguments.output.with_suffix(".jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    arguments.output.write_text(page(outcomes, settings), encoding="utf-8")


def parsed(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was typed (None: at the command line), with the defaults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded", help="a folder or hub id; `embedded`: the tiny base")
    parser.add_argument("--task", default="positive_continuation", help="a task file, or a task of the package")
    parser.add_argument("--algorithms", nargs="+", default=["ppo", "ppo_plus_plus"], help="names, or NAME@GUIDE")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--tokens", type=int, default=20_000, help="that learner and guide write in a training")
    parser.add_argument("--texts", type=int, default=32, help="a batch")
    parser.add_argument("--length", type=int, default=24, help="tokens of a text at most")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate of policy and critic")
    parser.add_argument("--epochs", type=int, default=2, help="passes over a batch")
    parser.add_argument("--minibatch", type=int, default=16, help="texts of an optimiser's step")
    parser.add_argument("--switch", type=int, default=4, help="updates of AggreVaTeD that D2LOLS begins with")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the model's weights")
    parser.add_argument("--kl", type=float, default=0.01, help="weight of the price on leaving the model")
    parser.add_argument("--evaluation-texts", type=int, default=4, help="after each evaluation prompt")
    parser.add_argument(
        "--evaluate-every", type=int, default=0, help="updates between evaluations; 0: before and after"
    )
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md", help="the page; its rows lie beside it")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="where trainings are kept")
    return parser.parse_args(given)


def run(arguments: argparse.Namespace, name: str, seed: int) -> Outcome:
    """One training, begun or gone on with."""
    model, config = base_of(arguments.model, arguments.scratch), config_of(arguments, name, seed)
    task, dtype = load_task(arguments.task), getattr(torch, arguments.dtype)
    _, guide = algorithm_and_guide(name)
    report = TokenTraining(
        load_student(model, dtype=dtype),
        task,
        config,
        folder_of(arguments, task, config, guide or "start"),
        base=f"{arguments.model} in {arguments.dtype}",
        guide=better_guide(guide, load_student(model, dtype=dtype), config) if guide else None,
        guide_name=guide,
        progress=lambda line: print(f"{name} seed {seed}: {line}", flush=True),
    ).run()
    return Outcome(
        algorithm=name,
        seed=seed,
        updates=len(report.records),
        learner_tokens=report.learner_tokens,
        guide_tokens=report.guide_tokens,
        before=report.evaluations[0].metrics,
        after=report.evaluations[-1].metrics,
        curve=tuple((evaluation.tokens, evaluation.metrics.reward) for evaluation in report.evaluations),
    )


def folder_of(arguments: argparse.Namespace, task: Task, config: RLGFConfig, guide: str) -> Path:
    """Where a training is kept: no other has its model, task, configuration and guide."""
    which = content_hash("rlgf benchmark", arguments.model, arguments.dtype, task.version, config.version, guide)
    return arguments.scratch / Path(arguments.model).name / task.name / which[:12]


def config_of(arguments: argparse.Namespace, name: str, seed: int) -> RLGFConfig:
    """The same for each algorithm but for its name."""
    name, _ = algorithm_and_guide(name)
    step: dict[str, Any] = {
        "learning_rate": arguments.rate,
        "epochs": arguments.epochs,
        "minibatch": arguments.minibatch,
        "schedule": "constant",
    }
    algorithm = {"name": name, **step} if name == "ppo" else {"name": name, "step": step}
    if name == "d2lols":
        algorithm["switch"] = arguments.switch
    return RLGFConfig.model_validate(
        {
            "root_seed": seed,
            "algorithm": algorithm,
            "iterations": ENDLESS,
            "most_tokens": arguments.tokens,
            "texts": arguments.texts,
            "max_new_tokens": arguments.length,
            "critic": step,
            "kl_reference": {"weight": arguments.kl} if arguments.kl else None,
            "at_once": max(AT_ONCE, arguments.texts),
            "evaluation_texts": arguments.evaluation_texts,
            "evaluate_every": arguments.evaluate_every,
            "checkpoint_every": 1,
        }
    )


def base_of(model: str, scratch: Path) -> str:
    """The model's folder; the embedded base is made where it is not there yet."""
    if model != "embedded":
        return model
    folder = scratch / "base"
    if not (folder / "config.json").exists():
        build_embedded_base(folder, seed=0)
    return str(folder)


if __name__ == "__main__":
    main()
