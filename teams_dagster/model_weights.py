"""Whether a model's weights are those that its configuration asks for.

transformers draws at random what a file of weights lacks, and leaves out what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from teams_dagster.model_files import ModelFault

_TELLING: Mapping[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True, "trust_remote_code": False}
"""What `from_pretrained` is given so that it tells what it found; and so that no code of a model's own is run."""
_TOGETHER = "set it to a folder whose config.json and weights belong together"
_SHOWN = 3


def load_weights(architecture: Any, place: str | Path, *, named: str | Path | None = None, **options: Any) -> Any:
    """The model in `place` (a folder or a hub id), all of it from its files.

    Args:
        architecture: What loads it: a class of transformers with `from_pretrained`, which gets the `options`.
        place: A folder or a hub id.
        named: What messages call it, where that is not `place`.

    Raises ModelFault where its weights are not those that its configuration asks for, and an error of transformers' own
    where it cannot be loaded otherwise.
    """
    loaded, found = architecture.from_pretrained(str(place), **_TELLING, **options)
    _check_found(place if named is None else named, loaded, found)
    return loaded


def check_headers(model: str | Path, architecture: Any, *, unused: str | None = None) -> None:
    """Compares the headers of the weights of `model` with its configuration; reads no weights.

    Args:
        model: A folder or a hub id.
        architecture: What loads it: a class of transformers with `from_pretrained`.
        unused: How the names of weights begin that nobody reads, where there are some.

    Raises ModelFault where they differ, and an error of transformers' own where it cannot be loaded.
    """
    loaded, found = architecture.from_pretrained(str(model), device_map={"": "meta"}, **_TELLING)
    _check_found(model, loaded, found, unused=unused)


def _check_found(model: str | Path, loaded: Any, found: Mapping[str, Any], *, unused: str | None = None) -> None:
    """Raises ModelFault where transformers' account of how `loaded` came about tells of other weights.

    `found` is that account (`output_loading_info`), `unused` as for `check_headers`.
    """
    missing = [name for name in found["missing_keys"] if unused is None or not name.startswith(unused)]
    if mismatched := sorted(found["mismatched_keys"]):
        name, has, wanted = mismatched[0]
        raise ModelFault(
            model,
            f"of whose weights {len(mismatched):,} have another shape than its configuration says ({name}:"
            f" {list(has)} and not {list(wanted)}): {_TOGETHER}",
        )
    if missing:
        raise ModelFault(
            model,
            f"of whose weights {len(missing):,} are missing ({_some(missing)}) and would be drawn at random:"
            f" download it again, or {_TOGETHER}",
        )
    if getattr(loaded, "hf_quantizer", None) is not None:
        return  # packed modules bring statistics of their own
    if homeless := _without_place(found["unexpected_keys"], loaded.state_dict()):
        raise ModelFault(
            model,
            f"of whose weights {len(homeless):,} have no place in its configuration ({_some(homeless)}) and would be"
            f" left out: {_TOGETHER}",
        )


def _without_place(unexpected: Collection[str], known: Collection[str]) -> list[str]:
    """Those that belong to modules like the model's own: further layers, or biases. Other heads are not among them."""
    modules = {_module(name) for name in known}
    return [name for name in unexpected if _module(name) in modules]


def _module(name: str) -> str:
    """The module of a weight, whatever its layer."""
    return re.sub(r"\d+", "#", name.rpartition(".")[0])


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown
