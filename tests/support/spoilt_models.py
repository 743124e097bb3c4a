"""Model folders as people have them: a download that broke off, weights that do not belong to their configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def as_pointer(folder: Path) -> None:
    """What `git clone` leaves without Git LFS."""
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def cut_short(folder: Path) -> None:
    """A download that broke off."""
    tensors = folder / WEIGHTS
    tensors.write_bytes(tensors.read_bytes()[:-100])


def without_weights(part: str) -> Callable[[Path], None]:
    """Takes out the weights with `part` in their names."""

    def spoil(folder: Path) -> None:
        kept = {name: weight for name, weight in load_file(folder / WEIGHTS).items() if part not in name}
        save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    return spoil


def configured(**changes: Any) -> Callable[[Path], None]:
    """Changes the configuration."""
    return lambda folder: edit(folder / "config.json", **changes)


def edit(file: Path, **changes: Any) -> None:
    """Changes values of a JSON object; None takes one out."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def in_shards(folder: Path) -> None:
    """As large models are published: two files and an index of them."""
    weights = load_file(folder / WEIGHTS)
    second = sorted(weights)[len(weights) // 2 :]
    files = {name: f"model-0000{1 + (name in second)}-of-00002.safetensors" for name in weights}
    for file in set(files.values()):
        save_file({name: weights[name] for name in weights if files[name] == file}, folder / file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / WEIGHTS).unlink()


def without_a_shard(folder: Path) -> None:
    """One of two files was not downloaded."""
    in_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def with_code_of_its_own(folder: Path) -> None:
    """An architecture that is not one of transformers'."""
    edit(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config"})
    (folder / "own.py").write_text("raise SystemExit('the code was run')")
