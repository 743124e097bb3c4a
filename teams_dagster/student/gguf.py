"""Students in the GGUF format of llama.cpp: unpacked once into an ordinary Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from teams_dagster.student.quiet import quieten_transformers
from teams_dagster.student.weights import StudentFault


def unpack_gguf(file: Path, folder: Path) -> None:
    """Writes the model in `file` to `folder`, its weights as float32, which loses nothing of what GGUF keeps.

    Raises StudentFault where transformers does not know the file's architecture.
    """
    quieten_transformers()
    place: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            **place, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    except (OSError, ValueError, KeyError) as error:
        raise StudentFault(
            file, f"which transformers cannot unpack ({error}): set it to a folder with safetensors"
        ) from error
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
