"""The step that fine-tunes: a script beside Dagster, killed and gone on with, and what it leaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.dataset.instruction_dataset import instruction_dataset
from assets.models.adapters import lora_model, qlora_model
from assets.models.base_model import base_model
from assets.models.jobs import merge_adapter, push_to_hub
from resources.ledger import LedgerConnection
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.evaluation.scores import Score
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.tables import write_table
from teams_dagster.student.merging import CannotPush
from tests.support.layouts import tiny_layout
from tests.support.small_upstream import small_upstream

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_layout("llama", tmp_path_factory.mktemp("student"))


@dataclass(frozen=True)
class Trained:
    """An adapter whose first training was killed, and what was said meanwhile."""

    store: ArtefactStore
    ledger: LedgerConnection
    failure: str
    made_when_killed: bool
    said: str
    metadata: Mapping[str, Any]

    @property
    def resources(self) -> dict[str, Any]:
        return {"store": self.store, "ledger": self.ledger}


@pytest.fixture(scope="module")
def trained(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    root = tmp_path_factory.mktemp("data")
    store = ArtefactStore(data_dir=str(root))
    small_upstream(store, student)
    settings = {"max_steps": 40, "checkpoint_every": 1, "batch_size": 4}
    killer = threading.Thread(target=_kill_once_it_trains, args=(store.place("lora_model"),), daemon=True)
    killer.start()
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEAMS_DATA_DIR", str(root))
        killed = train(instance, store, **settings)
        killer.join()
        failure = killed.failure_data_for_node("lora_model")
        assert failure is not None
        assert failure.error is not None
        left = store.exists("lora_model")
        again = train(instance, store, **settings)
        assert again.success
        said = "\n".join(entry.user_message for entry in instance.all_logs(again.run_id))
        [made] = again.asset_materializations_for_node("lora_model")
        ledger = LedgerConnection(root=str(ROOT), store=store)
        yield Trained(store, ledger, failure.error.to_string(), left, said, made.metadata)


def train(instance: dg.DagsterInstance, store: ArtefactStore, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [base_model, instruction_dataset, lora_model, qlora_model],
        selection=[lora_model],
        instance=instance,
        resources={"store": store, "models": None, "ledger": None},
        run_config={"ops": {"lora_model": {"config": config}}},
        raise_on_error=False,
    )


def _kill_once_it_trains(place: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if any(place.glob(".*/checkpoints/checkpoint-*/complete")):
            [lock] = place.glob(".*/.training.lock")
            os.kill(int(lock.read_text()), signal.SIGKILL)
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_training_fails_with_its_cause_and_what_to_change(trained: Trained) -> None:
    cause = "TrainingFailed: the training was killed (exit code -9), probably because memory ran out"
    assert cause in trained.failure
    assert "batch_size 2 with gradient_accumulation 2 (the same update)" in trained.failure
    assert not trained.made_when_killed


@pytest.mark.slow
def test_the_next_run_goes_on_from_its_checkpoint(trained: Trained) -> None:
    assert "going on from checkpoint-" in trained.said


@pytest.mark.slow
def test_progress_is_told_to_the_run(trained: Trained) -> None:
    assert "training the lora model: step 40/40, loss" in trained.said
    assert "only 40 updates, fewer than 100" in trained.said
    assert "only 40 updates, fewer than 100" in str(trained.metadata["warnings"].value)


@pytest.mark.slow
def test_what_is_left_is_the_adapter_and_its_report(trained: Trained) -> None:
    adapter = trained.store.current("lora_model")
    names = sorted(path.relative_to(adapter.folder).as_posix() for path in adapter.folder.rglob("*") if path.is_file())
    files = ["README.md", "adapter_config.json", "adapter_model.safetensors", "recipe.json"]
    assert names == ["manifest.json", *(f"model/{name}" for name in files), "models.parquet", "report.json"]


@pytest.mark.slow
def test_its_card_says_what_it_was_trained_on_and_what_that_cost(trained: Trained) -> None:
    card = trained.store.current("lora_model").path("model/README.md").read_text()
    assert "Dataset version `the dataset`: 16 examples trained it" in card
    assert "32 queries, 1.500000000 US dollars" in card
    assert trained.store.current("instruction_dataset").manifest["files"][LINEAGE] in card
    assert "Not scored when this card was written" in card


@pytest.mark.slow
def test_an_adapter_is_merged_into_its_base_by_a_job(trained: Trained, tmp_path: Path) -> None:
    version = trained.store.current("lora_model").data_version
    score = Score("lora", "held_out", "heldout_loss", 1.25, 0.5, 4, version, "the dataset")
    with trained.store.writing("evaluation_scores", "one", about={"inputs": {}, "made_at": "2026"}) as draft:
        write_table(draft.folder, "evaluation_scores", [vars(score)])
        draft.finish("scores", {})
    config = {"ops": {"merge_into_base": {"config": {"to": str(tmp_path / "whole")}}}}
    assert merge_adapter.execute_in_process(config, resources=trained.resources).success
    assert (tmp_path / "whole" / "model.safetensors").exists()
    assert "1.2500 ± 0.5000" in (tmp_path / "whole" / "README.md").read_text()


@pytest.mark.slow
def test_nothing_is_pushed_without_a_token(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    config = {"ops": {"send_to_hub": {"config": {"repo_id": "somebody/model"}}}}
    with pytest.raises(CannotPush, match="HF_TOKEN is not set"):
        push_to_hub.execute_in_process(config, resources=trained.resources)
