"""A virtual environment for each rival, with the versions that the table names."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"

_TOKENIZERS = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages", "litellm")
"""litellm, in Curator's environment, ships the tokenizer that Curator and DataDesigner would download."""


def prepare(name: str, folder: Path) -> Path:
    """The Python of the environment `folder/name`, made from `requirements/<name>.txt` when it is not there yet."""
    home, requirements = folder / name, REQUIREMENTS / f"{name}.txt"
    python, done = home / "bin" / "python", home / ".requirements"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if done.exists() and done.read_text() == digest:
        return python
    print(f"making {home} (0.6 to 0.9 GB, a minute or so)", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
    install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--requirement", requirements]
    subprocess.run(install, check=True)
    done.write_text(digest)
    return python


def variables(folder: Path) -> Mapping[str, str]:
    """The environment variables that every tool is started with: this process's, and no downloads."""
    tokenizers = folder / "curator" / _TOKENIZERS / "litellm_core_utils" / "tokenizers"
    return {**os.environ, "TIKTOKEN_CACHE_DIR": str(tokenizers)}


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of those of `packages` that `python` has."""
    script = (
        "import importlib.metadata as m, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    said = subprocess.run([python, "-c", script, *packages], check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in said.splitlines())
