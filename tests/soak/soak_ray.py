"""A real Ray cluster of one machine: a dataset whose steps are its jobs, and a training that is killed on it.

Named so that no ordinary test run collects it. It wants the extra `ray`: `pip install 'teams-dagster[ray]'`, then
`pytest -s --timeout 0 tests/soak/soak_ray.py`. SOAK_RAY_ADDRESS is the dashboard of a cluster that runs already.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.processes import until

pytest.importorskip("dagster_ray", reason="the extra `ray` is missing")

WEEK = "2026-11-02"
SEEDS = 40
NODES = 3
"""Of the cluster that is started here: as many raylets on this machine."""

STEPS = ["seed_instructions", "generated_instructions", "expert_responses", "instruction_dataset", "sample_lineage"]

LINE = f"""
import dagster as dg

from teams_dagster import definitions as project
from teams_dagster.automation.jobs import STEPS

selection = dg.AssetSelection.assets(*{STEPS}).without_checks()
line = dg.define_asset_job("line", selection=selection, executor_def=STEPS)
defs = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[line]))
"""
"""A module of Dagster's: the project, and a job without asset checks, each of which would be a job of the cluster."""

TRAIN = """
import sys
from pathlib import Path

import dagster as dg

from assets.dataset.instruction_dataset import instruction_dataset
from assets.models.adapters import lora_model
from assets.models.base_model import base_model
from teams_dagster.store.artefact_store import ArtefactStore
from tests.support.layouts import tiny_layout
from tests.support.small_upstream import small_upstream

data = Path(sys.argv[1])
store = ArtefactStore(data_dir=str(data))
if not store.exists("base_model"):
    small_upstream(store, tiny_layout("llama", data / "student"))
settings = {"max_steps": 60, "checkpoint_every": 1, "batch_size": 4}
dg.materialize(
    [base_model, instruction_dataset, lora_model],
    selection=[lora_model],
    resources={"store": store, "models": None, "ledger": None},
    run_config={"ops": {"lora_model": {"config": settings}}},
)
"""

PATIENT = {"RAY_agent_register_timeout_ms": "300000", "RAY_JOB_START_TIMEOUT_SECONDS": "900"}
"""Environment of nodes that start beside other work: a raylet ends itself where its agents are slow to begin."""

DATASET = {"ops": {"generated_instructions": {"config": {"policy": "uniform", "seeds": SEEDS}}}}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The dashboard of a cluster of several raylets, each with a GPU that is only claimed."""
    if (running := os.environ.get("SOAK_RAY_ADDRESS")) is not None:
        yield running
        return
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    os.environ |= {"PYTHONPATH": str(ROOT), **PATIENT}  # of the nodes
    node = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": True})
    for _ in range(NODES - 1):
        cluster.add_node(**node)
    try:
        yield f"http://{cluster.webui_url}"
    finally:
        cluster.shutdown()


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Of a command over the data folder `data`; nothing else of the project is set."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TEAMS_", "DAGSTER"))}
    home = data / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    return {**plain, "TEAMS_DATA_DIR": str(data), "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT), **settings}


def begin(arguments: list[str], data: Path, **settings: str) -> subprocess.Popen[str]:
    """Python with these arguments, over the data folder."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(data, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def done(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate()
    return process.returncode, said


def make_dataset(data: Path, **settings: str) -> None:
    """Run the line over the data folder."""
    module, config = data / "line.py", data / "config.yaml"
    module.write_text(LINE, encoding="utf-8")
    config.write_text(json.dumps(DATASET), encoding="utf-8")
    job = ["-m", "dagster", "job", "execute", "-f", str(module), "-j", "line", "--config", str(config)]
    code, said = done(begin([*job, "--tags", json.dumps({"dagster/partition": WEEK})], data, **settings))
    assert code == 0, said[-6_000:]


def train(data: Path, **settings: str) -> subprocess.Popen[str]:
    return begin(["-c", TRAIN, str(data)], data, **settings)


def _current(folder: Path) -> Path:
    [manifest] = (folder / "assets" / "instruction_dataset").glob("*/manifest.json")
    return manifest.parent


def content(folder: Path) -> dict[str, str]:
    """Of each file of the current dataset, the hash."""
    version = _current(folder)
    files = sorted(path for path in (version / "files").rglob("*") if path.is_file())
    return {path.relative_to(version).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def asked(data: Path) -> tuple[int, int]:
    """Attempts on the ledger, and how many queries they are of."""
    with sqlite3.connect(data / "ledger.sqlite") as ledger:
        [found] = ledger.execute("select count(*), count(distinct request_key) from attempts")
    return found


@pytest.fixture(scope="module")
def datasets(address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data folders of the same dataset, made here and made on the cluster."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    began = time.monotonic()
    make_dataset(here)
    middle = time.monotonic()
    make_dataset(there, TEAMS_RAY_ADDRESS=address, TEAMS_RAY_RUNS="steps")
    print(f"\nthe dataset took {middle - began:.0f} s here, {time.monotonic() - middle:.0f} s as jobs of the cluster")
    return here, there


def test_steps_on_the_cluster_make_the_same_dataset(address: str, datasets: tuple[Path, Path]) -> None:
    from ray.job_submission import JobSubmissionClient  # pyright: ignore[reportMissingImports]

    here, there = datasets
    ran = json.loads((_current(there) / "manifest.json").read_text(encoding="utf-8"))["run_id"]
    jobs = [job.metadata for job in JobSubmissionClient(address).list_jobs() if job.metadata]
    assert sorted(job["dagster/op"] for job in jobs if job.get("dagster/run-id") == ran) == sorted(STEPS)
    assert content(there)
    assert content(there) == content(here)


def test_nothing_is_asked_twice_there(datasets: tuple[Path, Path]) -> None:
    here, there = datasets
    attempts, queries = asked(there)
    assert attempts == queries
    assert asked(there) == asked(here)


def test_the_lineage_of_what_was_made_there_is_verified(datasets: tuple[Path, Path]) -> None:
    _, there = datasets
    teams = [sys.executable, "-c", "from teams_dagster.cli import main; main()"]
    checked = [*teams, "checks", "--select", "sample_lineage"]
    ended = subprocess.run(checked, cwd=ROOT, env=environment(there), capture_output=True, text=True)
    assert "stored_fields_are_unchanged" in ended.stdout
    assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]


def training_process(data: Path) -> int | None:
    """The process that trains lora_model over `data`, once it has written a checkpoint."""
    place = data / "assets" / "lora_model"
    if not any(place.glob(".*/checkpoints/checkpoint-*/complete")):
        return None
    [lock] = place.glob(".*/.training.lock")
    return int(lock.read_text())


def test_a_training_that_is_killed_there_goes_on(address: str, tmp_path: Path) -> None:
    data = tmp_path
    settings = {"TEAMS_RAY_ADDRESS": address, "TEAMS_RAY_GPUS": "1"}
    first = train(data, **settings)
    until(lambda: training_process(data) is not None or first.poll() is not None, 900, every_s=0.1)
    process = training_process(data)
    assert process is not None, done(first)[1][-6_000:]
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    assert any(variable.startswith(b"CUDA_VISIBLE_DEVICES=") and len(variable) > 21 for variable in variables)
    os.kill(process, signal.SIGKILL)
    code, said = done(first)
    assert code != 0
    assert "the training was killed (exit code 137)" in said
    second = train(data, **settings)
    until(lambda: (training_process(data) or process) != process or second.poll() is not None, 900, every_s=0.1)
    left = training_process(data)
    assert left not in (None, process), done(second)[1][-6_000:]
    second.kill()  # the step is gone and its job goes on
    second.communicate()
    code, said = done(train(data, **settings))
    assert code == 0, said[-6_000:]
    assert "which trains here for a step that is gone" in said
    assert "going on from checkpoint-" in said
    assert "training the lora model: step 60/60" in said
