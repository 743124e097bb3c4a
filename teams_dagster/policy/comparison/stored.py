"""What a comparison of policies found, as its artefact holds it."""

from __future__ import annotations

import pyarrow.parquet as pq

from teams_dagster.policy.comparison.scores import Score
from teams_dagster.store.artefact_store import Artefact


def read_policy_scores(artefact: Artefact) -> list[Score]:
    """The rows of table `policy_scores` in an artefact."""
    rows = pq.read_table(artefact.path("policy_scores.parquet"), columns=list(Score.__dataclass_fields__)).to_pylist()
    return [Score(**row) for row in rows]
