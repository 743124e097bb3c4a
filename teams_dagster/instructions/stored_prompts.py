"""The prompts as an artefact holds them."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.instructions.prompts import all_prompts
from teams_dagster.store.tables import write_table


def write_prompts(folder: Path, run_id: str) -> None:
    """Table `prompt_templates` of an artefact whose questions used the prompts."""
    rows = [{"prompt_version": p.version, "name": p.name, "text": p.source, "run_id": run_id} for p in all_prompts()]
    write_table(folder, "prompt_templates", rows)


def prompts_version() -> str:
    """One version for all prompts together."""
    return content_hash("prompts", {p.name: p.version for p in all_prompts()})
