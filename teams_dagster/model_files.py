"""The files of a model's folder: whether weights and tokenizer are there and whole. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from teams_dagster.core.type_guards import is_dict

ONE_FILE = "model.safetensors"
INDEX = f"{ONE_FILE}.index.json"
CONFIG = "config.json"
ADAPTER = "adapter_config.json"
"""The file of a folder that holds an adapter of a model, in PEFT's form."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has left in the place of the real one."""
_BYTE_ORDER = "\ufeff"
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
"""The files that hold a tokenizer's words; one of them is enough."""


class ModelFault(ValueError):
    """A model that cannot be used as it is; `said` says what was wrong, and what helps, after the model's name."""

    def __init__(self, model: str | Path, said: str) -> None:
        super().__init__(f"{model}, {said}")
        self.said = said


def check_pointers(path: Path) -> None:
    """Raises ModelFault where a file of the folder `path`, or the file itself, was left as a Git LFS pointer."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file() and _begins_with(file, POINTER):
            raise ModelFault(
                path,
                f"where {file.name} is a Git LFS pointer of {file.stat().st_size} bytes and not"
                " the file itself: run `git lfs pull` in that folder, or download the model again",
            )


def check_folder(folder: Path) -> None:
    """Looks at the configuration, the tokenizer and the safetensors of a folder, as transformers would read them.

    Raises ModelFault for a configuration that is none, no tokenizer, weights that no index names or that are missing,
    and safetensors that end early. Says nothing of weights in other forms.
    """
    check_pointers(folder)
    if not (folder / CONFIG).is_file():
        raise ModelFault(folder, f"which holds no {CONFIG}: name a folder in Hugging Face form")
    read_object(folder, CONFIG)
    if not any(file.is_file() for name in TOKENIZERS for file in folder.glob(name)):
        raise ModelFault(
            folder, f"which holds no tokenizer (none of {', '.join(TOKENIZERS)}): download the model again"
        )
    for file in tensor_files(folder):
        _check_tensors(folder, file)


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors that transformers reads of a folder; none where it has none at all. Raises ModelFault."""
    if (folder / ONE_FILE).exists():
        return [folder / ONE_FILE]
    present = sorted(file.name for file in folder.glob("*.safetensors"))
    if not (folder / INDEX).exists():
        if present:
            raise ModelFault(
                folder, f"whose weights ({', '.join(present)}) are not named by any {INDEX}: download that file too"
            )
        return []
    named = read_object(folder, INDEX).get("weight_map")
    if not is_dict(named) or not all(isinstance(name, str) for name in named.values()):
        raise ModelFault(folder, f"where {INDEX} names no files: download it again")
    wanted = sorted(set(named.values()))
    if missing := [name for name in wanted if not (folder / name).exists()]:
        raise ModelFault(
            folder,
            f"where {len(missing)} of {len(wanted)} files of weights are missing ({', '.join(missing)}):"
            " download the model again",
        )
    return [folder / name for name in wanted]


def _check_tensors(folder: Path, file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelFault(folder, f"where {file.name} cannot be read ({error}): download it again") from None


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in file `name` of `folder`. Raises ModelFault."""
    try:
        text = (folder / name).read_text(encoding="utf-8")
        content = json.loads(text.removeprefix(_BYTE_ORDER))
    except (OSError, ValueError) as error:
        raise ModelFault(folder, f"where {name} cannot be read ({error}): download it again") from None
    if text.startswith(_BYTE_ORDER):
        raise ModelFault(
            folder,
            f"where {name} begins with a byte order mark, which transformers does not read: save it as UTF-8 without",
        )
    if not is_dict(content):
        raise ModelFault(folder, f"where {name} is no JSON object: download it again")
    return content


def _begins_with(file: Path, marks: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(marks)) == marks
