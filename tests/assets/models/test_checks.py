"""The checks of models on artefacts made by hand: no training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from assets.models.checks import lora_is_asked_as_trained
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.student.chat import template_version
from teams_dagster.student.loading import Recipe, load_tokenizer
from tests.support.bare_base import bare_base

EXAMPLE = Example("sample", "seed", Instruction("Count the words.", "one two three"), "Three.")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def about(**inputs: str) -> dict[str, object]:
    return {"inputs": inputs, "made_at": "2026-11-02T00:00:00"}


@pytest.fixture
def trained(store: ArtefactStore, base: Path) -> ArtefactStore:
    """A base, a dataset and what training wrote down beside the adapter's weights."""
    with store.writing("base_model", "one", about=about()) as draft:
        shutil.copytree(base, draft.folder / "model")
        draft.finish("the base", {"student": "embedded", "embedded": True})
    with store.writing("instruction_dataset", "one", about=about()) as draft:
        export_dataset(draft.folder / "files", {split: [EXAMPLE] for split in SPLITS})
        draft.finish("the dataset", {})
    with store.writing("lora_model", "one", about=about(base_model="the base")) as draft:
        (draft.folder / "model").mkdir()
        Recipe("lora", "tokenizer", template_version(load_tokenizer(base)[0]), 512).save(draft.folder / "model")
        draft.finish("the adapter", {})
    return store


def checked(check: dg.AssetChecksDefinition, store: ArtefactStore) -> dg.AssetCheckResult:
    result = check(store=store)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_an_adapter_is_asked_as_it_was_trained(trained: ArtefactStore) -> None:
    assert checked(lora_is_asked_as_trained, trained).passed


def test_a_template_that_was_edited_is_an_error(trained: ArtefactStore) -> None:
    template = trained.current("base_model").path("model/chat_template.jinja")
    template.write_text(template.read_text().replace("user", "person"))
    result = checked(lora_is_asked_as_trained, trained)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "train lora_model again" in (result.description or "")


def test_another_base_than_that_of_training_is_compared_token_by_token(trained: ArtefactStore, base: Path) -> None:
    with trained.writing("base_model", "two", about=about()) as draft:
        shutil.copytree(base, draft.folder / "model")
        config = draft.folder / "model" / "tokenizer_config.json"
        settings = json.loads(config.read_text())
        config.write_text(json.dumps(settings | {"eos_token": "<|pad|>"}))
        draft.finish("another base", {"student": "embedded", "embedded": True})
    result = checked(lora_is_asked_as_trained, trained)
    assert not result.passed
    assert "the end-of-sequence token is not that of training" in str(result.metadata["faults"].value)


def test_an_adapter_without_its_recipe_is_an_error(trained: ArtefactStore) -> None:
    trained.current("lora_model").path("model/recipe.json").unlink()
    result = checked(lora_is_asked_as_trained, trained)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
