"""Door: a training in a process of its own, `python -m teams_dagster.student.training_script REQUEST`.

Heavy packages are imported once the process is under its parent's control.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from teams_dagster.student.adapter_config import CHECKPOINTS, MODEL, REPORT, TrainingRequest
from teams_dagster.student.isolation import be_killed_first, die_with
from teams_dagster.student.process import Say, carry_out, less_memory

LAUNCHER = "TEAMS_TRAINING_LAUNCHER"
"""The process id of the launcher, in the environment of the processes that it starts."""
MODULE = "teams_dagster.student.training_script"


def main(arguments: list[str]) -> int:
    """Trains as the request file says; the exit code is 1 when that failed, and `failure.txt` then says why."""
    path = Path(arguments[0])
    request = TrainingRequest.load(path)
    launched_by = os.environ.get(LAUNCHER)
    if (parent := int(launched_by) if launched_by else request.parent) is not None:
        die_with(parent)
    be_killed_first()
    if request.launcher != "none" and not launched_by:
        _become_launcher(request, path)
    first = os.environ.get("RANK", "0") == "0"
    return carry_out(request, lambda say: _train(request, say, first=first), less_memory(request.config), first=first)


def _become_launcher(request: TrainingRequest, path: Path) -> None:
    """Turns this process into accelerate's launcher: it stays the same process, which dies with its parent."""
    settings = str(files("teams_dagster.student") / "launchers" / f"{request.launcher}.yaml")
    environment = os.environ | {LAUNCHER: str(os.getpid())}
    count = request.processes or _gpus()
    launch = ["accelerate.commands.launch", "--config_file", settings, "--num_processes", str(count)]
    os.execve(sys.executable, [sys.executable, "-m", *launch, "-m", MODULE, str(path)], environment)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _train(request: TrainingRequest, say: Say, *, first: bool) -> None:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from datasets import disable_progress_bars  # pyright: ignore[reportMissingTypeStubs]

    from teams_dagster.dataset.export import examples_in
    from teams_dagster.student.adapters import train_adapter

    disable_progress_bars()
    report = train_adapter(
        request.base,
        examples_in(request.train),
        examples_in(request.validation),
        request.folder / MODEL,
        request.config,
        say,
        checkpoints=request.folder / CHECKPOINTS,
    )
    if first:
        (request.folder / REPORT).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
