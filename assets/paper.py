"""The paper's table with ours beside it, from what every stage recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import dagster as dg

from assets.columns import table_columns
from assets.dataset.instruction_dataset import instruction_dataset
from assets.evaluation import evaluation_scores, privacy_audit
from assets.judging import judged_win_rate
from assets.making import make_or_reuse
from assets.materialize import OWNERS, AssetConfig
from assets.uniform_arm.scores import uniform_scores
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import markdown_table
from teams_dagster.core.text import NANO
from teams_dagster.dataset.arms import TRAINED_ARM, UNIFORM_ARM, arm_of
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.yields import expert_yield
from teams_dagster.evaluation.harness.benchmarks import LEADERBOARD
from teams_dagster.evaluation.paper import (
    COLUMNS,
    DIFFERENCE,
    EVOL_INSTRUCT_QUERIES,
    LORA,
    LORA_UNIFORM,
    QLORA,
    PaperRow,
    PaperValue,
    paper_rows,
)
from teams_dagster.evaluation.paper import paper_table as with_the_papers
from teams_dagster.evaluation.privacy import LOSS
from teams_dagster.evaluation.scores import AGAINST_LORA, CHOICE, HELD_OUT, OWN_SIDE
from teams_dagster.evaluation.statistics import normal_interval
from teams_dagster.evaluation.stored import (
    PAPER_TABLE,
    read_evaluation_scores,
    read_paper_table,
    read_privacy,
    read_win_rates,
)
from teams_dagster.report.paper import paper_cell
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.tables import write_table

READ = (TRAINED_ARM.dataset, "evaluation_scores", "judged_win_rate", "privacy_audit")
"""The assets that the table always reads."""

SCORED = {
    "heldout_loss": (HELD_OUT, "heldout_loss"),
    "choice_accuracy": (CHOICE, "choice_accuracy"),
    "heldout_loss_uniform_arm": (f"{HELD_OUT}{OWN_SIDE}", "heldout_loss"),
    "choice_accuracy_uniform_arm": (f"{CHOICE}{OWN_SIDE}", "choice_accuracy"),
    "arc": (LEADERBOARD["arc"].task, "acc_norm"),
    "hellaswag": (LEADERBOARD["hellaswag"].task, "acc_norm"),
    "mmlu": (LEADERBOARD["mmlu"].task, "acc"),
    "truthfulqa": (LEADERBOARD["truthfulqa"].task, "acc"),
    "gsm8k": (LEADERBOARD["gsm8k"].task, "exact_match,strict-match"),
}
"""By quantity, the task and metric of `evaluation_scores`."""


@dg.asset(
    group_name="evaluation",
    deps=[instruction_dataset, evaluation_scores, judged_win_rate, privacy_audit, uniform_scores],
    kinds={"parquet"},
    owners=OWNERS,
    metadata=table_columns(PAPER_TABLE),
    code_version="1",
    description="What the paper reports, each number with its source, and beside it dataset size, queries, cost, scores"
    " and membership inference of the base, the adapters and, where it was made, the uniform arm.",
)
def paper_table(
    context: dg.AssetExecutionContext, config: AssetConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Read what is stored; ask and train nothing."""
    read = {key: store.current(key) for key in READ}
    arm = _arm(store, read["evaluation_scores"])
    note = arm if isinstance(arm, str) else ""
    if isinstance(arm, str):
        context.log.info(note)
    else:
        read |= arm

    def make(draft: Draft) -> None:
        values = with_the_papers(_ours(store, read))
        rows = [asdict(value) for value in values]
        write_table(draft.folder, PAPER_TABLE, (row | {"run_id": context.run.run_id} for row in rows))
        draft.finish(content_hash(PAPER_TABLE, rows, note), {"values": len(rows), "note": note})

    inputs = {key: artefact.data_version for key, artefact in read.items()} | ({"uniform arm": note} if note else {})
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def _arm(store: ArtefactStore, scored: Artefact) -> dict[str, Artefact] | str:
    """The uniform arm's dataset and scores; or why they are not in the table."""
    if not store.exists("uniform_scores"):
        return "the uniform arm was not made: job uniform_arm makes it"
    scores = store.current("uniform_scores")
    compared, ours = (artefact.manifest["inputs"]["lora_model"] for artefact in (scores, scored))
    if compared != ours:
        return f"the uniform arm was compared with lora_model {compared}, and it is {ours} now: job uniform_arm again"
    version = scores.manifest["inputs"][UNIFORM_ARM.dataset]
    return {UNIFORM_ARM.dataset: store.of_version(UNIFORM_ARM.dataset, version), "uniform_scores": scores}


def _ours(store: ArtefactStore, read: Mapping[str, Artefact]) -> Iterator[PaperValue]:
    for adapter in (LORA, QLORA):
        yield from _of_dataset(store, read[TRAINED_ARM.dataset], adapter)
    yield from _of_scores(read["evaluation_scores"])
    judged = read["judged_win_rate"]
    for rate in read_win_rates(judged):
        yield PaperValue("win_rate", rate.model, rate.length_controlled, rate.lc_low, rate.lc_high, _named(judged))
    yield from _of_audit(read["privacy_audit"])
    if "uniform_scores" in read:
        yield from _of_dataset(store, read[UNIFORM_ARM.dataset], LORA_UNIFORM)
        yield from _of_scores(read["uniform_scores"])
        yield from _of_audit(read["uniform_scores"], only=LORA_UNIFORM)


def _of_dataset(store: ArtefactStore, dataset: Artefact, adapter: str) -> Iterator[PaperValue]:
    """What the dataset of an adapter holds, and what it took."""
    arm = arm_of(dataset.manifest["asset_key"])
    card = DataCard.from_json(dataset.path(CARD).read_text(encoding="utf-8"))
    inputs, generations = dataset.manifest["inputs"], dataset.read_facts(DatasetFacts).generations
    answered = [store.of_version(arm.responses, inputs[f"{arm.responses} {week}"], week) for week in generations]
    asked = expert_yield(store, answered)
    expert = asked.rewrites + asked.responses
    counts = {
        "pairs": card.total,
        "expert_queries": expert,
        "expert_queries_share": expert / EVOL_INSTRUCT_QUERIES,
        "queries": card.queries,
    }
    if card.cost_nano_usd is not None:
        counts["cost"] = card.cost_nano_usd / NANO
    for quantity, count in counts.items():
        yield PaperValue(quantity, adapter, count, None, None, _named(dataset))


def _of_audit(audited: Artefact, *, only: str | None = None) -> Iterator[PaperValue]:
    for result in read_privacy(audited):
        if result.attack == LOSS and only in (None, result.model):
            yield PaperValue("membership_auc", result.model, result.auc, result.ci_low, result.ci_high, _named(audited))


def _of_scores(scored: Artefact) -> Iterator[PaperValue]:
    """Scores of models, and the paired differences of the uniform arm's adapter."""
    wanted = {named: quantity for quantity, named in SCORED.items()}
    for score in read_evaluation_scores(scored):
        metric, whose = score.metric, score.model
        if whose == LORA_UNIFORM and metric.endswith(AGAINST_LORA):
            metric, whose = metric.removesuffix(AGAINST_LORA), DIFFERENCE
        quantity = wanted.get((score.task, metric))
        if quantity and whose in COLUMNS:
            low, high = normal_interval(score.value, score.stderr)
            yield PaperValue(quantity, whose, score.value, low, high, _named(scored))


def _named(artefact: Artefact) -> str:
    return f"{artefact.manifest['asset_key']} {artefact.data_version}"


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | str]:
    rows = paper_rows(read_paper_table(artefact))
    header = ("", *COLUMNS.values(), "source of the paper's numbers")
    note = artefact.facts["note"]
    return {
        PAPER_TABLE: dg.MetadataValue.md(markdown_table(header, list(map(_cells, rows)))),
        **({"note": note} if note else {}),
    }


def _cells(row: PaperRow) -> tuple[str, ...]:
    cells = (paper_cell(row.cells.get(column)) for column in COLUMNS)
    return (f"{row.fact.quantity} ({row.fact.unit})", *cells, row.fact.source)
