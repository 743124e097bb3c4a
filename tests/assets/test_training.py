"""The step that fine-tunes: a script beside Dagster, killed and gone on with, and what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.adapter_settings import AdapterSettings, SettingsRefused
from assets.dataset import instruction_dataset
from assets.models import base_model, lora_model, qlora_model
from resources.stores import ArtefactStore
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.instruction import Instruction
from tests.support.layouts import tiny_layout

EXAMPLES = [
    Example(f"sample-{i}", f"seed-{i}", Instruction(f"Which colour is box {i}?"), f"Box {i} is <b>red</b>.")
    for i in range(16)
]
CARD_OF_DATASET = DataCard(
    "A dataset",
    "the dataset",
    "apache-2.0",
    "Written by the embedded rules.",
    (),
    (),
    4,
    {},
    (),
    {"train": 16, "validation": 4, "held_out": 1},
    {},
    {},
    (),
    32,
    1_500_000_000,
    (),
    (),
    ("Small.",),
)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_layout("llama", tmp_path_factory.mktemp("student"))


@pytest.fixture
def store(tmp_path: Path, student: Path) -> ArtefactStore:
    store = ArtefactStore(data_dir=str(tmp_path))
    about = {"inputs": {}, "made_at": "2026-11-02T00:00:00"}
    with store.writing("base_model", "one", about=about) as draft:
        shutil.copytree(student, draft.folder / "model")
        draft.finish("the base", {"embedded": True})
    with store.writing("instruction_dataset", "one", about=about) as draft:
        sides = {"train": EXAMPLES, "validation": EXAMPLES[:4], "held_out": EXAMPLES[:1]}
        export_dataset(draft.folder / "files", sides)  # type: ignore[arg-type]
        (draft.folder / CARD).write_text(CARD_OF_DATASET.to_json())
        (draft.folder / LINEAGE).write_text("chains")
        draft.finish("the dataset", {})
    return store


def train(store: ArtefactStore, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [base_model, instruction_dataset, lora_model, qlora_model],
        selection=[lora_model],
        resources={"store": store, "models": None, "ledger": None},
        run_config={"ops": {"lora_model": {"config": config}}},
        raise_on_error=False,
    )


def said(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(event.message or "" for event in result.all_events)


def test_a_killed_training_names_the_cause_and_the_next_run_goes_on_from_its_checkpoint(
    store: ArtefactStore, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {"max_steps": 40, "checkpoint_every": 1, "batch_size": 4}
    killer = threading.Thread(target=_kill_once_it_trains, args=(store.place("lora_model"),), daemon=True)
    killer.start()
    killed = train(store, **settings)
    killer.join()
    failure = killed.failure_data_for_node("lora_model")
    assert failure is not None
    assert failure.error is not None
    cause = failure.error.to_string()
    assert "TrainingFailed: the training was killed (exit code -9), probably because memory ran out" in cause
    assert "batch_size 2 with gradient_accumulation 2 (the same update)" in cause
    assert not store.exists("lora_model")

    again = train(store, **settings)
    assert again.success
    streamed = capfd.readouterr().err
    assert "going on from checkpoint-" in streamed
    assert "training the lora model: step 40/40" in streamed
    _leaves_what_matters(store, again)


def _leaves_what_matters(store: ArtefactStore, result: dg.ExecuteInProcessResult) -> None:
    adapter = store.current("lora_model")
    assert sorted(path.name for path in adapter.folder.iterdir()) == [
        "manifest.json",
        "model",
        "models.parquet",
        "report.json",
    ]
    assert sorted(path.name for path in adapter.path("model").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "recipe.json",
    ]
    [made] = result.asset_materializations_for_node("lora_model")
    assert "only 40 updates, fewer than 100" in str(made.metadata["warnings"].value)
    card = adapter.path("model/README.md").read_text()
    assert "Dataset version `the dataset`: 16 examples trained it" in card
    assert "32 queries, 1.500000000 US dollars" in card
    assert store.current("instruction_dataset").manifest["files"][LINEAGE] in card


def _kill_once_it_trains(place: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if any(place.glob(".*/checkpoints/checkpoint-*/complete")):
            [lock] = place.glob(".*/.training.lock")
            os.kill(int(lock.read_text()), signal.SIGKILL)
            return
        time.sleep(0.01)


def test_the_papers_preset_keeps_the_paper_but_for_what_was_changed() -> None:
    settings = AdapterSettings(preset="paper", epochs=1.0).resolved("lora", embedded=True)
    assert (settings.template, settings.max_length, settings.epochs) == ("alpaca", 512, 1.0)
    assert settings.learning_rate == 2e-4
    assert AdapterSettings(preset="paper_full").resolved("lora", embedded=False).kind == "full"


def test_what_is_left_out_is_the_students_default() -> None:
    assert AdapterSettings().resolved("lora", embedded=True).learning_rate == 8e-3
    assert AdapterSettings().resolved("lora", embedded=False).learning_rate == 2e-4
    assert AdapterSettings(packing=True).resolved("qlora", embedded=False).packing is True


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "paper_full"}, "use lora_model"),
        ({"launcher": "fsdp"}, "cannot spread a 4-bit base"),
    ],
)
def test_settings_that_do_not_fit_a_four_bit_base_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsRefused, match=message):
        AdapterSettings(**settings).resolved("qlora", embedded=False)


def test_dropout_without_an_adapter_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"dropout 0\.1 is the adapter's"):
        AdapterSettings(preset="paper_full", dropout=0.1).resolved("lora", embedded=False)
