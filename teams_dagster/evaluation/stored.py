"""Models' scores, attacks and win rates, as artefacts hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.evaluation.paper import PaperValue
from teams_dagster.evaluation.privacy import CanaryAudit, MembershipScore, RocPoint
from teams_dagster.evaluation.scores import Score
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.student.stored import ADAPTERS

PRIVACY, CANARIES, BENCHMARKS = "privacy.json", "canaries.json", "benchmarks.json"
"""Files of an artefact beside its tables."""

PAPER_TABLE = "paper_table"


def read_evaluation_scores(artefact: Artefact) -> list[Score]:
    """The rows of table `evaluation_scores` in an artefact."""
    rows = pq.read_table(artefact.path("evaluation_scores.parquet")).to_pylist()
    return [Score(**{name: row[name] for name in Score.__dataclass_fields__}) for row in rows]


def evaluated_models(store: ArtefactStore) -> dict[str, Artefact]:
    """The base and its adapters, by name. Raises ArtefactMissing."""
    return {name: store.current(f"{name}_model") for name in ("base", *ADAPTERS)}


def evaluated_versions(models: Mapping[str, Artefact], dataset: Artefact) -> dict[str, str]:
    """What an evaluation is made from: by asset key, the version of each model and of the dataset."""
    return {
        **{f"{name}_model": model.data_version for name, model in models.items()},
        "instruction_dataset": dataset.data_version,
    }


def read_privacy(artefact: Artefact) -> list[MembershipScore]:
    """The results of membership inference in an artefact, one per attack and model."""
    return _membership(json.loads(artefact.path(PRIVACY).read_text(encoding="utf-8")))


def _membership(rows: list[dict[str, Any]]) -> list[MembershipScore]:
    return [MembershipScore(**row | _curves(row)) for row in rows]


def _curves(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(RocPoint(**point) for point in row[name]) for name in ("roc", "rates")}


def read_canaries(artefact: Artefact) -> CanaryAudit | None:
    """What the canaries of a `privacy_audit` artefact showed; None where none were asked for."""
    path = artefact.folder / CANARIES
    if not path.is_file():
        return None
    audit = json.loads(path.read_text(encoding="utf-8"))
    return CanaryAudit(**audit | {"results": tuple(_membership(audit["results"]))})


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


def read_benchmarks(artefact: Artefact) -> list[dict[str, Any]]:
    """What each benchmark score of an `evaluation_scores` artefact rests on; empty where none was asked for."""
    path = artefact.folder / BENCHMARKS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
