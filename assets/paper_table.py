"""The paper's table, ours beside it: whatever is stored; blanks stay blanks."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from assets.accounting import query_costs
from assets.arms import TRAINED_ARM, UNIFORM_ARM
from assets.evaluation import evaluation_scores, privacy_audit, read_evaluation_scores, read_privacy
from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.uniform_arm.scores import differences, uniform_scores
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.dataset.card import CARD, NANO, DataCard
from teams_dagster.evaluation.paper import (
    COLUMNS,
    COST,
    LORA,
    LORA_UNIFORM,
    PAIRS,
    QLORA,
    QUERIES,
    Cell,
    Ours,
    PaperRow,
    caution,
)
from teams_dagster.evaluation.paper import (
    paper_table as table_of,
)
from teams_dagster.evaluation.scores import UNIFORM_SIDE
from teams_dagster.report.markdown import markdown_table
from teams_dagster.report.paper import paper_lines
from teams_dagster.streams import content_hash

TABLE = "paper_table"
SOURCES = (
    "base_model",
    "instruction_dataset",
    "evaluation_scores",
    "privacy_audit",
    "uniform_dataset",
    "uniform_scores",
)
"""The assets whose current outputs are in the table, where there are any."""


@dg.asset(
    group_name="evaluation",
    deps=[evaluation_scores, privacy_audit, query_costs, uniform_scores],
    kinds={"parquet"},
    owners=OWNERS,
    code_version="1",
    description="The paper's figures with their sources, and ours beside them: dataset size, queries, cost, scores and"
    " membership inference, and what the trained policy is worth to the student against the uniform arm.",
)
def paper_table(context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore) -> dg.MaterializeResult:
    """Put the table together from what is stored; nothing is computed anew."""
    stored = {key: store.current(key) for key in SOURCES if store.exists(key)}

    def make(draft: Draft) -> None:
        rows, note = table_of(_ours(stored)), _note(stored)
        flat = [_flat(row) for row in rows]
        pq.write_table(pa.Table.from_pylist(flat, schema=_schema()), draft.folder / f"{TABLE}.parquet")
        (draft.folder / f"{TABLE}.csv").write_text(_csv(flat), encoding="utf-8")
        (draft.folder / f"{TABLE}.md").write_text(f"{_markdown(rows)}\n\n{note}\n", encoding="utf-8")
        draft.finish(content_hash("paper_table", flat, note), {"rows": len(flat), "note": note})

    inputs = {key: artefact.data_version for key, artefact in stored.items()}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def read_paper_table(artefact: Artefact) -> list[PaperRow]:
    """The rows of a `paper_table` artefact."""
    rows = pq.read_table(artefact.path(f"{TABLE}.parquet")).to_pylist()
    return [PaperRow(row["figure"], row["source"], dict(_unflattened(row))) for row in rows]


def _ours(stored: dict[str, Artefact]) -> Ours:
    scores, privacy = [], []
    if "evaluation_scores" in stored:
        scores += read_evaluation_scores(stored["evaluation_scores"])
    if "privacy_audit" in stored:
        privacy += read_privacy(stored["privacy_audit"])
    paired = []
    if "uniform_scores" in stored:
        found = read_evaluation_scores(stored["uniform_scores"])
        same = _same_adapter(stored)
        scores += [s for s in found if s.model == LORA_UNIFORM or (same and s.task.endswith(UNIFORM_SIDE))]
        paired = differences(found) if same else []
        privacy += [result for result in read_privacy(stored["uniform_scores"]) if result.model == LORA_UNIFORM]
    return Ours(_sizes(stored), scores, paired, privacy)


def _sizes(stored: dict[str, Artefact]) -> dict[str, dict[str, float]]:
    """Pairs, queries and dollars of the dataset behind each adapter."""
    sizes: dict[str, dict[str, float]] = {PAIRS: {}, QUERIES: {}, COST: {}}
    for key, models in ((TRAINED_ARM.dataset, (LORA, QLORA)), (UNIFORM_ARM.dataset, (LORA_UNIFORM,))):
        if key not in stored:
            continue
        card = DataCard.from_json(stored[key].path(CARD).read_text(encoding="utf-8"))
        for model in models:
            sizes[PAIRS][model], sizes[QUERIES][model] = card.total, card.queries
            if card.cost_nano_usd is not None:
                sizes[COST][model] = card.cost_nano_usd / NANO
    return sizes


def _same_adapter(stored: dict[str, Artefact]) -> bool:
    """Whether both assets scored the same lora: a difference from another one belongs to no row."""
    compared = stored["uniform_scores"].manifest["inputs"]["lora_model"]
    scored = stored.get("evaluation_scores")
    return scored is None or scored.manifest["inputs"]["lora_model"] == compared


def _note(stored: dict[str, Artefact]) -> str:
    base = stored.get("base_model")
    said = [] if base is None else [caution(base.facts["student"], embedded=base.facts["embedded"])]
    if "uniform_scores" not in stored:
        said.append("The uniform arm was not made: job uniform_arm makes it.")
    elif not _same_adapter(stored):
        said.append("The uniform arm was compared with another lora_model: launch the job uniform_arm again.")
    return " ".join(said)


def _schema() -> pa.Schema:
    numbers = [f"{column}{end}" for column in COLUMNS for end in ("", "_ci_low", "_ci_high")]
    fields = [pa.field("figure", pa.string()), *(pa.field(name, pa.float64()) for name in numbers)]
    return pa.schema([*fields, pa.field("source", pa.string())])


def _flat(row: PaperRow) -> dict[str, Any]:
    flat: dict[str, Any] = {"figure": row.figure}
    for column in COLUMNS:
        cell = row.cells.get(column)
        flat |= {
            column: None if cell is None else float(cell.value),
            f"{column}_ci_low": None if cell is None else cell.low,
            f"{column}_ci_high": None if cell is None else cell.high,
        }
    return flat | {"source": row.source}


def _unflattened(row: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    for column in COLUMNS:
        if row[column] is not None:
            yield column, Cell(row[column], row[f"{column}_ci_low"], row[f"{column}_ci_high"])


def _csv(flat: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _schema().names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _markdown(rows: list[PaperRow]) -> str:
    header = ("figure", *(column.replace("_", " ") for column in COLUMNS), "source")
    lines = [
        (line.figure, *(" ".join(filter(None, cell)) for cell in line.cells), line.source) for line in paper_lines(rows)
    ]
    return markdown_table(header, lines)


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int | float | str]:
    return {
        "table": dg.MetadataValue.md(_markdown(read_paper_table(artefact))),
        "note": artefact.facts["note"],
        "files": dg.MetadataValue.path(str(artefact.folder)),
    }
