"""A training as a process of its own: killed, orphaned, started twice, on two processes, without a network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.dataset.export import examples_in, export_dataset
from teams_dagster.dataset.sample import Example
from teams_dagster.student import training_script
from teams_dagster.student.adapter_config import FAILURE, LOCK, MODEL, REPORT, AdapterConfig, TrainingRequest
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.training_script import MODULE, main
from tests.support.processes import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = f"{MODEL}/adapter_model.safetensors"

PARENT = f"""
import os, subprocess, sys
from pathlib import Path
from teams_dagster.student.adapter_config import TrainingRequest
path = Path(sys.argv[1])
TrainingRequest.load(path).model_copy(update={{"parent": os.getpid()}}).save()
subprocess.run([sys.executable, "-m", "{MODULE}", str(path)])
"""

NO_NETWORK = """
import os, socket
def refuse(self, address):
    with open(os.environ["TRIED"], "a") as file:
        print(address, file=file)
    raise ConnectionRefusedError(f"a connection to {address} was tried")
socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, examples: list[Example]) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    export_dataset(folder, {"train": examples * 2, "validation": examples[:2]})
    return folder


def request(dataset: Path, base: Path, folder: Path, **changes: Any) -> Path:
    outer = {name: changes.pop(name) for name in ("launcher", "processes", "parent") if name in changes}
    settings: dict[str, Any] = {"kind": "lora", "learning_rate": 5e-3, "batch_size": 2, "max_steps": 12} | changes
    folder.mkdir(exist_ok=True)
    asked: dict[str, Any] = {"parent": os.getpid()} | outer
    files = {"train": dataset / "train.parquet", "validation": dataset / "validation.parquet"}
    config = AdapterConfig(**settings)
    return TrainingRequest(base=str(base), folder=folder, config=config, **files, **asked).save()


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def run(path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", MODULE, str(path)]
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def whole(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted training leaves, run where every connection is refused and written down."""
    folder = tmp_path_factory.mktemp("whole")
    guard = tmp_path_factory.mktemp("guard")
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    path = request(dataset, base, folder, max_steps=60, dropout=0.1, checkpoint_every=2)
    done = run(path, PYTHONPATH=f"{guard}:{ROOT}", TRIED=str(folder / "tried"), CI="")
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_reported_to_anybody(whole: Path) -> None:
    assert not (whole / "tried").exists()


def test_a_training_that_was_killed_or_orphaned_goes_on_bit_for_bit(
    whole: Path, dataset: Path, base: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"max_steps": 60, "dropout": 0.1, "checkpoint_every": 2}
    command = ["-c", PARENT, str(request(dataset, base, tmp_path, **settings))]
    parent = subprocess.Popen([sys.executable, *command], env=environment(), stdout=subprocess.DEVNULL)
    child = _once_it_trains(tmp_path)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not _alive(child), otherwise="the training outlived its parent")
    assert not (tmp_path / REPORT).exists()

    again = run(request(dataset, base, tmp_path, **settings))
    assert again.returncode == 0, again.stderr
    assert "going on from checkpoint-" in again.stdout
    assert (tmp_path / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert (tmp_path / REPORT).read_bytes() == (whole / REPORT).read_bytes()


def _once_it_trains(folder: Path) -> int:
    """Waits for a checkpoint; the process id of the training."""
    until(lambda: any(folder.glob("checkpoints/checkpoint-*/complete")), otherwise="no checkpoint was written")
    return int((folder / LOCK).read_text())


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_processes_train_on_the_same_examples_as_one(dataset: Path, base: Path, tmp_path: Path) -> None:
    done = run(request(dataset, base, tmp_path / "two", max_steps=4, launcher="ddp", processes=2))
    assert done.returncode == 0, done.stderr
    two = json.loads((tmp_path / "two" / REPORT).read_text())
    accumulating = TrainingRequest.load(request(dataset, base, tmp_path / "one", max_steps=4, gradient_accumulation=2))
    training, validation = (list(examples_in(path)) for path in (accumulating.train, accumulating.validation))
    one = train_adapter(base, training, validation, tmp_path / "one" / MODEL, accumulating.config)
    assert (one.processes, two["processes"]) == (1, 2)
    losses = [point["loss"] for point in two["curve"] if point["loss"]]
    assert losses == pytest.approx([point.loss for point in one.curve if point.loss], abs=1e-4)


def test_an_orphan_does_not_begin(dataset: Path, base: Path, tmp_path: Path) -> None:
    done = run(request(dataset, base, tmp_path, parent=1))
    assert done.returncode != 0
    assert "process 1, which asked for this training, has ended" in done.stderr


def test_a_failure_is_written_down_with_its_cause(
    dataset: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_script, "be_killed_first", lambda: None)
    monkeypatch.setattr(training_script, "die_with", lambda parent: None)
    assert main([str(request(dataset, base, tmp_path, max_length=8))]) == 1
    assert "none of 16 examples fits in max_length 8 tokens: raise it" in (tmp_path / FAILURE).read_text()
