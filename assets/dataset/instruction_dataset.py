"""The instruction dataset: every generation's samples, curated and split."""

from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.columns import dataset_columns
from assets.making import make_or_reuse
from assets.materialize import DATASET_FIRST, OWNERS, AssetConfig
from assets.responses import expert_responses
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.dataset.arms import TRAINED_ARM, Arm
from teams_dagster.dataset.card import CARD
from teams_dagster.dataset.curation import Curated, curate
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.folder import FILES, describe_folder
from teams_dagster.dataset.origin import data_card, generations_of, write_lineage
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.signatures import signatures_of
from teams_dagster.dataset.splits import split_examples
from teams_dagster.dataset.stored import _all_seeds, read_samples
from teams_dagster.instructions.seed_files import texts_in
from teams_dagster.instructions.seed_splits import Split, dataset_sides, seed_clusters
from teams_dagster.report import pictures
from teams_dagster.report.funnel import yield_funnel
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore, Draft
from teams_dagster.store.tables import write_table

SHOWN = 5


@dg.asset(
    group_name="dataset",
    deps=[dg.AssetDep(expert_responses, partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=dataset_columns(),
    code_version="2",
    description="The samples of all generations, curated, de-duplicated, decontaminated and split by seed; exported as"
    " Alpaca and ShareGPT JSON, chat JSONL and Parquet, with each row's lineage, a data card and Croissant metadata.",
)
def instruction_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that has answers, whatever the partition of the run."""
    return make_dataset(context, config, store, models, ledger, TRAINED_ARM)


def make_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: ArtefactStore,
    models: LanguageModels,
    ledger: LedgerConnection,
    arm: Arm,
) -> dg.MaterializeResult:
    """Curate and split what an arm's generations answered. A seed is on the same side in every arm."""
    answered = [store.current(arm.responses, partition) for partition in store.partitions(arm.responses)]
    if not answered:
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise {arm.responses} first")
    evaluation_sets = models.settings().evaluation_sets
    evaluation_texts = [text for file in evaluation_sets for text in texts_in(file)]
    sides = dataset_sides(seed_clusters(_all_seeds(store)))

    def make(draft: Draft) -> None:
        samples = [sample for artefact in answered for sample in read_samples(artefact)]
        signatures = signatures_of(answered, context.log.info)
        curated = curate(samples, evaluation_texts=evaluation_texts, signatures=signatures)
        splits = split_examples(curated.examples, sides)
        version = content_hash("dataset", {split: [_content(e) for e in rows] for split, rows in splits.items()})
        export_dataset(draft.folder / FILES, splits)
        rows = (
            {
                "dataset_version": version,
                "sample_id": e.sample_id,
                "split": split,
                "seed_id": e.seed_id,
                "run_id": context.run.run_id,
            }
            for split, examples in splits.items()
            for e in examples
        )
        members = write_table(draft.folder, "dataset_samples", rows)
        facts = _facts(curated, splits, answered)
        generations = generations_of(store, answered)
        with ledger.open() as opened:
            card = data_card(arm, version, facts, generations, opened, [path.name for path in evaluation_sets])
            write_lineage(draft.folder, members, generations, opened)
        (draft.folder / CARD).write_text(card.to_json(), encoding="utf-8")
        describe_folder(draft.folder / FILES, card)
        draft.finish(version, facts)

    inputs = {
        **{f"{arm.responses} {a.manifest['partition_key']}": a.data_version for a in answered},
        "evaluation_sets": content_hash(evaluation_texts),
        "sides": content_hash(sides),
    }
    return make_or_reuse(
        context, store, config=config, inputs=inputs, make=make, show=lambda made: _show(made, store, answered)
    )


def _content(example: Example) -> str:
    return content_hash(example.sample_id, example.instruction.text, example.instruction.input, example.response)


def _facts(curated: Curated, splits: dict[Split, tuple[Example, ...]], answered: list[Artefact]) -> dict[str, Any]:
    dropped: dict[str, int] = {}
    for drop in curated.dropped:
        dropped[str(drop.reason)] = dropped.get(str(drop.reason), 0) + 1
    return {
        "samples": len(curated.examples) + len(curated.dropped),
        "examples": {split: len(examples) for split, examples in splits.items()},
        "seeds": {split: len({e.seed_id for e in examples}) for split, examples in splits.items()},
        "dropped": dropped,
        "generations": [artefact.manifest["partition_key"] for artefact in answered],
    }


def _show(
    artefact: Artefact, store: ArtefactStore, answered: list[Artefact]
) -> dict[str, dg.MetadataValue | int | str]:
    facts = artefact.facts
    train = pq.read_table(artefact.path(f"{FILES}/train.parquet"), columns=["instruction", "input", "output"])
    rows = [tuple(row.values()) for row in train.slice(0, SHOWN).to_pylist()]
    picture = pictures.yield_funnel(yield_funnel(store, answered, facts["dropped"]))
    return {
        "dagster/row_count": sum(facts["examples"].values()),
        **facts["examples"],
        "funnel": dg.MetadataValue.md(as_markdown_image(picture, "From the edits asked for to the samples kept")),
        "dropped": dg.MetadataValue.json(facts["dropped"]),
        "generations": ", ".join(facts["generations"]),
        "examples": dg.MetadataValue.md(markdown_table(("instruction", "input", "response"), rows)),
        "files": dg.MetadataValue.path(str(artefact.folder / FILES)),
    }
