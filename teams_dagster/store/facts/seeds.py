"""What the assets of group `seeds` record."""

from __future__ import annotations

from typing import Annotated

from teams_dagster.store.facts.base import Facts, Hidden, Shown


class SeedFacts(Facts):
    """Of `seed_instructions`."""

    seeds: Annotated[int, Shown("dagster/row_count")]
    refused: int
    """Rows of the file that became no seed."""
    with_input: int
    source: str
    """Name of the file."""
    scripts: dict[str, int]
    """Seeds by the script that they are written in."""
    sha256: Annotated[str, Hidden()]
    """Of the file's bytes."""
    clusters: Annotated[int, Hidden()]
    """Groups of near duplicates."""
