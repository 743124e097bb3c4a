"""The files of a student's folder: which hold its weights, and whether they can be read. Imports no torch."""

from __future__ import annotations

from pathlib import Path

GGUF = ".gguf"
POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has left in the place of the real one."""


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

    Raises StudentFault for Git LFS pointers, weights in pickles only, none at all, and safetensors that end early.
    """
    path = Path(student)
    if not path.exists():
        return
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file() and _begins_with(file, POINTER):
            raise StudentFault(
                path,
                f"where {file.name} is a Git LFS pointer of {file.stat().st_size} bytes and not"
                " the file itself: run `git lfs pull` in that folder, or download the model again",
            )
    if gguf_file(path):
        return
    tensors = sorted(path.glob("*.safetensors"))
    for file in tensors:
        _check_tensors(path, file)
    if tensors:
        return
    if any(path.glob("*.bin")) or any(path.glob("*.pt*")):
        raise StudentFault(
            path,
            f"whose weights are pickles ({_pickle(path)}), which can run any code when they are"
            " opened: set it to a folder with safetensors. If you trust this one, transformers writes such a folder:"
            f" AutoModelForCausalLM.from_pretrained({str(path)!r}, use_safetensors=False).save_pretrained(...), and the"
            " same for AutoTokenizer",
        )
    raise StudentFault(path, "which holds no weights: neither safetensors nor a GGUF file")


def _check_tensors(folder: Path, file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise StudentFault(folder, f"where {file.name} cannot be read ({error}): download it again") from None


def _begins_with(file: Path, marks: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(marks)) == marks


def _pickle(folder: Path) -> str:
    return min(file.name for pattern in ("*.bin", "*.pt*") for file in folder.glob(pattern))
