"""The files of a student: which hold its weights, and whether they can be read. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.model_files import ADAPTER, ModelFault, check_folder, check_pointers, read_object

GGUF = ".gguf"


class StudentFault(ValueError):
    """A student that cannot be trained: what was wrong, and the setting that helps."""

    def __init__(self, student: str | Path, said: str) -> None:
        super().__init__(f"TEAMS_STUDENT is {student}, {said}")


def gguf_file(student: str | Path) -> Path | None:
    """The GGUF file that a student's weights are in; None where they are in safetensors, or it is a hub id.

    Raises StudentFault where a folder has several and nothing else.
    """
    path = Path(student)
    if path.is_file() and path.suffix == GGUF:
        return path
    if not path.is_dir() or any(path.glob("*.safetensors")):
        return None
    found = sorted(path.glob(f"*{GGUF}"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise StudentFault(path, f"which holds several GGUF files ({names}): name one of them")
    return found[0] if found else None


def check_weights(student: str | Path) -> None:
    """Looks at the files of a folder, or at a GGUF file; of a hub id there is nothing to look at.

    Raises StudentFault for an adapter, for what `model_files.check_folder` refuses, and for weights in pickles alone.
    """
    path = Path(student)
    if not path.exists():
        return
    try:
        if gguf_file(path):
            check_pointers(path)
            return
        if not path.is_dir():
            raise ModelFault(path, "a file that is not GGUF: set it to the folder that it lies in")
        _check_no_adapter(path)
        check_folder(path)
        _check_pickles(path)
    except ModelFault as fault:
        raise StudentFault(path, fault.said) from fault


def _check_no_adapter(folder: Path) -> None:
    if (folder / ADAPTER).exists():
        base = read_object(folder, ADAPTER).get("base_model_name_or_path")
        raise ModelFault(
            folder, f"which holds an adapter of {base} and not a model: set it to a folder with the two merged"
        )


def _check_pickles(folder: Path) -> None:
    """Raises ModelFault where a folder has no safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(file.name for pattern in ("*.bin", "*.pt*") for file in folder.glob(pattern))
    if not pickles:
        raise ModelFault(folder, "which holds no weights: neither safetensors nor a GGUF file")
    raise ModelFault(
        folder,
        f"whose weights are pickles ({pickles[0]}), which can run any code when they are"
        " opened: set it to a folder with safetensors. If you trust this one, transformers writes such a folder:"
        f" AutoModelForCausalLM.from_pretrained({str(folder)!r}, use_safetensors=False).save_pretrained(...), and the"
        " same for AutoTokenizer",
    )
