"""Facts of the uniform arm's scores. Its other assets have those of the main line's."""

from __future__ import annotations

from typing import Annotated

from teams_dagster.store.facts.base import Facts, Hidden


class UniformScoreFacts(Facts):
    """Facts of `uniform_scores`."""

    scores: Annotated[int, Hidden()]
    """Rows of its table `evaluation_scores`."""
