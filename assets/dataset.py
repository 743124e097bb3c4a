"""The instruction dataset: every generation's samples, curated and split."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.manifests import generated_for, read_manifest
from assets.responses import expert_responses
from assets.seeds import read_seeds
from assets.signatures import signatures_of
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from resources.stores import Artefact, ArtefactMissing, ArtefactStore, Draft
from teams_dagster.dataset.card import DataCard, render_card
from teams_dagster.dataset.curation import Curated, curate
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.sample import Example, Sample
from teams_dagster.dataset.splits import split_examples
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.seed_files import texts_in
from teams_dagster.instructions.seed_splits import Split, dataset_sides, seed_clusters
from teams_dagster.instructions.seeds import Seed
from teams_dagster.ledger.costs import cost_of_requests
from teams_dagster.ledger.tables import write_table
from teams_dagster.report.markdown import markdown_table
from teams_dagster.streams import content_hash

FILES = "files"
SHOWN = 5

LIMITS = (
    "The texts are synthetic: they hold the errors and the views of the models that wrote them.",
    "A reviewer model judged each rewrite; no person read the samples.",
)
OFFLINE_LIMITS = (
    "The offline rules wrote these texts. They show that the line works; they teach a model nothing worth knowing.",
)


@dg.asset(
    group_name="dataset",
    deps=[dg.AssetDep(expert_responses, partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    code_version="1",
    description="The samples of all generations, curated, de-duplicated, decontaminated and split by seed; exported as"
    " Alpaca JSON, chat JSONL and Parquet with a data card.",
)
def instruction_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: ArtefactStore,
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that has answers, whatever the partition of the run."""
    answered = [store.current("expert_responses", partition) for partition in store.partitions("expert_responses")]
    if not answered:
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise expert_responses first")
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
        write_table(draft.folder, "dataset_samples", rows)
        facts = _facts(curated, splits, answered)
        card = _card(version, facts, answered, store, ledger, [path.name for path in evaluation_sets])
        (draft.folder / FILES / "README.md").write_text(render_card(card), encoding="utf-8")
        draft.finish(version, facts)

    inputs = {
        **{f"expert_responses {a.manifest['partition_key']}": a.data_version for a in answered},
        "evaluation_sets": content_hash(evaluation_texts),
        "sides": content_hash(sides),
    }
    return make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)


def read_samples(responses: Artefact) -> Iterator[Sample]:
    """The samples of an `expert_responses` artefact, in its order."""
    for batch in pq.ParquetFile(responses.path("samples.parquet")).iter_batches(10_000):
        for row in batch.to_pylist():
            instruction = Instruction(row.pop("instruction"), row.pop("input"))
            known = {name: row[name] for name in Sample.__dataclass_fields__ if name in row}
            yield Sample(instruction=instruction, **known)


def read_examples(dataset: Artefact, split: Split) -> list[Example]:
    """One side of an `instruction_dataset` artefact."""
    rows = pq.read_table(dataset.path(f"{FILES}/{split}.parquet")).to_pylist()
    return [
        Example(row["sample_id"], row["seed_id"], Instruction(row["instruction"], row["input"]), row["output"])
        for row in rows
    ]


def _all_seeds(store: ArtefactStore) -> list[Seed]:
    """The seeds of every seed file so far, earlier files first, so that an old seed keeps its side."""
    return [seed for library in store.all_of("seed_instructions") for seed in read_seeds(library)]


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


def _card(
    version: str,
    facts: dict[str, Any],
    answered: list[Artefact],
    store: ArtefactStore,
    ledger: LedgerConnection,
    evaluation_sets: list[str],
) -> DataCard:
    generated = [generated_for(store, responses) for responses in answered]
    manifests = [read_manifest(artefact) for artefact in generated]
    libraries = [
        store.of_version("seed_instructions", seeds_version)
        for seeds_version in dict.fromkeys(manifest.seeds_version for manifest in manifests)
    ]
    identities = [(role, identity) for manifest in manifests for role, identity in manifest.models]
    models: dict[str, dict[str, None]] = {}
    for role, identity in identities:
        models.setdefault(role, {})[str(identity)] = None
    with ledger.open() as opened:
        cost = cost_of_requests(opened, _requests(generated, answered))
    return DataCard(
        name="TeaMs-RL instructions",
        dataset_version=version,
        licence="other",
        licence_note="The seeds' licence and the terms of the models named above bind these texts.",
        languages=(),
        seeds_source=", ".join(library.facts["source"] for library in libraries),
        seeds_sha256=", ".join(library.facts["sha256"] for library in libraries),
        seeds_used=len({seed_id for manifest in manifests for seed_id, _ in manifest.replicas}),
        seeds_refused=_refused(libraries),
        generations=tuple(facts["generations"]),
        examples=facts["examples"],
        dropped=facts["dropped"],
        models={role: "; ".join(found) for role, found in models.items()},
        policy_version=", ".join(dict.fromkeys(manifest.policy_version for manifest in manifests)),
        queries=sum(a.facts["questions"] for a in generated) + sum(a.facts["samples"] for a in answered),
        cost_nano_usd=cost,
        evaluation_sets=tuple(evaluation_sets),
        limits=LIMITS + (OFFLINE_LIMITS if any(i.provider == "offline" for _, i in identities) else ()),
    )


def _refused(libraries: list[Artefact]) -> dict[str, int]:
    """Refused rows of the seed files by reason."""
    reasons = [
        reason
        for library in libraries
        for reason in pq.read_table(library.path("refused_seeds.parquet"))["reason"].to_pylist()
    ]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _requests(generated: list[Artefact], answered: list[Artefact]) -> set[str]:
    """The requests that the dataset's texts came from."""
    columns = {"transitions": ["rewrite_request_id", "review_request_id"], "samples": ["respond_request_id"]}
    return {
        request
        for table, artefacts in (("transitions", generated), ("samples", answered))
        for artefact in artefacts
        for column in pq.read_table(artefact.path(f"{table}.parquet"), columns=columns[table]).columns
        for request in column.to_pylist()
        if request
    }


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int | str]:
    facts = artefact.facts
    train = pq.read_table(artefact.path(f"{FILES}/train.parquet"), columns=["instruction", "input", "output"])
    rows = [tuple(row.values()) for row in train.slice(0, SHOWN).to_pylist()]
    return {
        "dagster/row_count": sum(facts["examples"].values()),
        **facts["examples"],
        "dropped": dg.MetadataValue.json(facts["dropped"]),
        "generations": ", ".join(facts["generations"]),
        "examples": dg.MetadataValue.md(markdown_table(("instruction", "input", "response"), rows)),
        "files": dg.MetadataValue.path(str(artefact.folder / FILES)),
    }
