"""The paper's table with ours beside it, from what every stage recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import dagster as dg
import pyarrow.parquet as pq

from assets.accounting import expert_yield
from assets.columns import table_columns
from assets.dataset import instruction_dataset
from assets.evaluation import evaluation_scores, privacy_audit, read_evaluation_scores, read_privacy
from assets.judging import judged_win_rate, read_win_rates
from assets.making import OWNERS, AssetConfig, make_or_reuse
from resources.stores import Artefact, ArtefactStore, Draft
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.evaluation.harness.benchmarks import LEADERBOARD
from teams_dagster.evaluation.paper import (
    COLUMNS,
    EVOL_INSTRUCT_QUERIES,
    LORA,
    QLORA,
    PaperRow,
    PaperValue,
    paper_rows,
)
from teams_dagster.evaluation.paper import (
    paper_table as with_the_papers,
)
from teams_dagster.evaluation.privacy import LOSS
from teams_dagster.evaluation.scores import CHOICE, HELD_OUT, Score
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import markdown_table
from teams_dagster.report.paper import paper_cell
from teams_dagster.report.text import NANO
from teams_dagster.streams import content_hash

TABLE = "paper_table"

WIDE = 1.959964
"""Standard errors from a value to the end of its 95% interval."""

SCORED = {
    "heldout_loss": (HELD_OUT, "heldout_loss"),
    "choice_accuracy": (CHOICE, "choice_accuracy"),
    "arc": (LEADERBOARD["arc"].task, "acc_norm"),
    "hellaswag": (LEADERBOARD["hellaswag"].task, "acc_norm"),
    "mmlu": (LEADERBOARD["mmlu"].task, "acc"),
    "truthfulqa": (LEADERBOARD["truthfulqa"].task, "acc"),
    "gsm8k": (LEADERBOARD["gsm8k"].task, "exact_match,strict-match"),
}
"""By quantity, the task and metric of `evaluation_scores`."""


@dg.asset(
    group_name="evaluation",
    deps=[instruction_dataset, evaluation_scores, judged_win_rate, privacy_audit],
    kinds={"parquet"},
    owners=OWNERS,
    metadata=table_columns(TABLE),
    code_version="1",
    description="What the paper reports, each number with its source, and beside it dataset size, queries, cost, scores"
    " and membership inference of the base, the adapters and, where it was made, the uniform arm.",
)
def paper_table(context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore) -> dg.MaterializeResult:
    """Read what is stored; ask and train nothing."""
    read = {key: store.current(key) for key in ("instruction_dataset", "evaluation_scores", "judged_win_rate")}
    read["privacy_audit"] = store.current("privacy_audit")

    def make(draft: Draft) -> None:
        values = with_the_papers(_ours(store, read))
        rows = [asdict(value) for value in values]
        write_table(draft.folder, TABLE, (row | {"run_id": context.run.run_id} for row in rows))
        draft.finish(content_hash(TABLE, rows), {"values": len(rows)})

    inputs = {key: artefact.data_version for key, artefact in read.items()}
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def _ours(store: ArtefactStore, read: Mapping[str, Artefact]) -> Iterator[PaperValue]:
    dataset = read["instruction_dataset"]
    for adapter in (LORA, QLORA):
        yield from _of_dataset(store, dataset, adapter)
    yield from _of_scores(read["evaluation_scores"])
    judged, audited = read["judged_win_rate"], read["privacy_audit"]
    for rate in read_win_rates(judged):
        yield PaperValue("win_rate", rate.model, rate.length_controlled, rate.lc_low, rate.lc_high, _named(judged))
    for result in read_privacy(audited):
        if result.attack == LOSS:
            yield PaperValue("membership_auc", result.model, result.auc, result.ci_low, result.ci_high, _named(audited))


def _of_dataset(store: ArtefactStore, dataset: Artefact, adapter: str) -> Iterator[PaperValue]:
    """What the dataset of an adapter holds, and what it took."""
    card = DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8"))
    asked = expert_yield(store)
    expert = asked.rewrites + asked.responses
    counts = {
        "pairs": sum(card.examples.values()),
        "expert_queries": expert,
        "expert_queries_share": expert / EVOL_INSTRUCT_QUERIES,
        "queries": card.queries,
    }
    if card.cost_nano_usd is not None:
        counts["cost"] = card.cost_nano_usd / NANO
    for quantity, count in counts.items():
        yield PaperValue(quantity, adapter, count, None, None, _named(dataset))


def _of_scores(scored: Artefact) -> Iterator[PaperValue]:
    wanted = {named: quantity for quantity, named in SCORED.items()}
    for score in read_evaluation_scores(scored):
        quantity = wanted.get((score.task, score.metric))
        if quantity and score.model in COLUMNS:
            yield _scored(quantity, score.model, score, scored)


def _scored(quantity: str, whose: str, score: Score, artefact: Artefact) -> PaperValue:
    half = None if score.stderr is None else WIDE * score.stderr
    low, high = (None, None) if half is None else (score.value - half, score.value + half)
    return PaperValue(quantity, whose, score.value, low, high, _named(artefact))


def _named(artefact: Artefact) -> str:
    return f"{artefact.manifest['asset_key']} {artefact.data_version}"


def read_paper_table(artefact: Artefact) -> list[PaperValue]:
    """The values in a `paper_table` artefact."""
    columns = list(PaperValue.__dataclass_fields__)
    return [PaperValue(**row) for row in pq.read_table(artefact.path(f"{TABLE}.parquet"), columns=columns).to_pylist()]


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue]:
    rows = paper_rows(read_paper_table(artefact))
    header = ("", *COLUMNS.values(), "source of the paper's numbers")
    return {TABLE: dg.MetadataValue.md(markdown_table(header, list(map(_cells, rows))))}


def _cells(row: PaperRow) -> tuple[str, ...]:
    cells = (paper_cell(row.cells.get(column)) for column in COLUMNS)
    return (f"{row.fact.quantity} ({row.fact.unit})", *cells, row.fact.source)
