"""Models' scores, attacks and win rates, as artefacts hold them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.evaluation.paper import PaperValue
from teams_dagster.evaluation.privacy import MembershipScore, RocPoint
from teams_dagster.evaluation.scores import Score
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.store.artefact_store import Artefact

PRIVACY = "privacy.json"
"""The file of an audit's results."""

PAPER_TABLE = "paper_table"


def read_evaluation_scores(artefact: Artefact) -> list[Score]:
    """The rows of table `evaluation_scores` in an artefact."""
    rows = pq.read_table(artefact.path("evaluation_scores.parquet")).to_pylist()
    return [Score(**{name: row[name] for name in Score.__dataclass_fields__}) for row in rows]


def read_privacy(artefact: Artefact) -> list[MembershipScore]:
    """The results of membership inference in an artefact, one per attack and model."""
    return _membership(json.loads(artefact.path(PRIVACY).read_text(encoding="utf-8")))


def _membership(rows: list[dict[str, Any]]) -> list[MembershipScore]:
    points = ("roc", "rates")
    return [
        MembershipScore(**{**row, **{name: tuple(RocPoint(**point) for point in row[name]) for name in points}})
        for row in rows
    ]


def read_win_rates(artefact: Artefact) -> list[WinRate]:
    """The rows of table `win_rates` in an artefact."""
    rows = pq.read_table(artefact.path("win_rates.parquet"), columns=list(WinRate.__dataclass_fields__)).to_pylist()
    return [WinRate(**row) for row in rows]


def read_paper_table(artefact: Artefact) -> list[PaperValue]:
    """The values in a `paper_table` artefact."""
    columns = list(PaperValue.__dataclass_fields__)
    return [
        PaperValue(**row) for row in pq.read_table(artefact.path(f"{PAPER_TABLE}.parquet"), columns=columns).to_pylist()
    ]
