"""Loading a sentence-embedding model whose files are whole, or saying which is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from teams_dagster.model_files import ADAPTER, CONFIG, ModelFault, check_folder, check_pointers
from teams_dagster.model_values import check_values
from teams_dagster.model_weights import check_headers

PARTS = "modules.json"
"""The file that names a sentence-embedding model's parts, in their order."""
UNUSED = "pooler."
"""Weights of BERT's kin that no sentence embedding reads, and that many of their files lack."""


def load_embedding_model(path: str) -> Any:
    """The model in the folder, or of the hub id, `path`: on the CPU, in float32, in evaluation mode.

    Raises ModelFault where a file of a folder is missing or damaged, or its weights are not those that its
    configuration asks for; and an error of sentence-transformers' own where it cannot be loaded otherwise.
    """
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    folder = Path(path)
    reading = _check_parts(folder) if folder.exists() else None
    in_single = {"dtype": "float32"}  # as stored, some are in half precision, which NumPy cannot read
    try:
        model: Any = SentenceTransformer(path, device="cpu", model_kwargs=in_single).eval()
    except RuntimeError:  # of weights of another shape, which it does not name
        if reading is not None:
            check_headers(reading, AutoModel, unused=UNUSED)
        raise
    if reading is not None:
        check_headers(reading, type(model[0].auto_model), unused=UNUSED)
    return model


def _check_parts(folder: Path) -> Path | None:
    """Looks at the files of each part; the folder of the part that is a transformer with weights of its own."""
    check_pointers(folder)
    try:
        parts = json.loads((folder / PARTS).read_text(encoding="utf-8"))
        places = {part["type"].rpartition(".")[2]: folder / part["path"] for part in parts}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFault(
            folder, f"where {PARTS}, which names a sentence-embedding model's parts, cannot be read ({error})"
        ) from error
    for kind in ("Pooling", "Dense"):
        if kind in places and not (places[kind] / CONFIG).is_file():
            raise ModelFault(folder, f"where {places[kind].name}/{CONFIG} is missing: download the model again")
    reading = places.get("Transformer")
    if reading is None or (reading / ADAPTER).exists():
        return None
    check_folder(reading)
    check_values(reading)
    return reading
