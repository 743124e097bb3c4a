"""What `deploy/Dockerfile` puts into its image, laid out in a folder: its COPY steps, without Docker."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import yaml

from tests.support.commands import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def command_of_image() -> list[str]:
    """What the image starts where nothing else is asked for."""
    return yaml.safe_load(DOCKERFILE.read_text(encoding="utf-8").rpartition("\nCMD ")[2])


def lay_out(folder: Path) -> Path:
    """Copy what the image holds into `folder`, which stands for its working directory."""
    for line in DOCKERFILE.read_text(encoding="utf-8").splitlines():
        step, *words = shlex.split(line, comments=True) or [""]
        if step == "COPY":
            *sources, target = words
            for source in sources:
                _copy(ROOT / source, folder / target / (Path(source).name if target.endswith("/") else ""))
    return folder


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
