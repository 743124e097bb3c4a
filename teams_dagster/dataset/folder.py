"""A dataset as a folder that can be published: its files, and what describes exactly these."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.core.files import file_sha256
from teams_dagster.dataset.card import DataCard, render_card
from teams_dagster.dataset.croissant import CROISSANT, ExportedFile, render_croissant

FILES = "files"
"""The folder of an `instruction_dataset` artefact that holds the dataset."""
README = "README.md"


def describe_folder(folder: Path, card: DataCard) -> None:
    """Write the data card and the Croissant metadata of the files in `folder` beside them."""
    paths = [path for path in sorted(folder.iterdir()) if path.name not in (README, CROISSANT)]
    files = [ExportedFile(path.name, file_sha256(path), path.stat().st_size) for path in paths]
    (folder / README).write_text(render_card(card, [file.name for file in files]), encoding="utf-8")
    (folder / CROISSANT).write_text(render_croissant(card, files), encoding="utf-8")
