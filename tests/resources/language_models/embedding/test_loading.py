"""A sentence-embedding model's files are looked at before it reviews: weights drawn at random review, too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.language_models.embedding.loading import load_embedding_model
from teams_dagster.model_files import ModelFault
from teams_dagster.weights import MINILM
from tests.support.spoilt_models import as_pointer, configured, cut_short, without_weights


@pytest.fixture
def folder(small_models: Path, tmp_path: Path) -> Path:
    """A copy of MiniLM, to be spoilt."""
    return Path(shutil.copytree(small_models / MINILM, tmp_path / MINILM))


def without_pooling(folder: Path) -> None:
    shutil.rmtree(folder / "1_Pooling")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pointer": (as_pointer, "model.safetensors is a Git LFS pointer"),
    "cut short": (cut_short, "model.safetensors cannot be read"),
    "a layer": (without_weights("layer.3."), "16 are missing .*would be drawn at random"),
    "more layers": (configured(num_hidden_layers=7), "16 are missing"),
    "another width": (configured(intermediate_size=64), "have another shape"),
    "no list of parts": (lambda folder: (folder / "modules.json").unlink(), "modules.json, which names .*No such file"),
    "no pooling": (without_pooling, "1_Pooling/config.json is missing"),
    "no tokenizer": (lambda f: [(f / name).unlink() for name in ("tokenizer.json", "vocab.txt")], "holds no tokenizer"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_model_that_is_not_whole_is_refused(name: str, folder: Path) -> None:
    spoil, said = SPOILT[name]
    spoil(folder)
    with pytest.raises(ModelFault, match=f"{folder}.*{said}"):
        load_embedding_model(str(folder))


def test_weights_that_no_embedding_reads_may_be_missing(folder: Path) -> None:
    without_weights("pooler.")(folder)
    assert load_embedding_model(str(folder)).get_embedding_dimension() == 384
