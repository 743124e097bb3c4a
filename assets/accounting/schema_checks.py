"""Checks that every stored table is what it should be, one for each asset that leaves tables."""

from pathlib import PurePath

import dagster as dg

from assets.check_results import needs_output, verdict
from teams_dagster.dataset.quality.tables import table_faults
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.tables import TABLES

ASSETS = (
    "seed_instructions",
    "trained_policy",
    "policy_comparison",
    "generated_instructions",
    "expert_responses",
    "instruction_dataset",
    "base_model",
    "lora_model",
    "qlora_model",
    "evaluation_scores",
    "judged_win_rate",
    "paper_table",
    "uniform_instructions",
    "uniform_responses",
    "uniform_dataset",
    "lora_uniform",
    "uniform_scores",
    "outcome_scores",
    "rlgf_model",
    "rlgf_scores",
)

SHOWN = 5


def _schema_check(asset_key: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key,
        name="tables_fit_their_schema",
        description="Columns and types are those of the tables, required values are there, ids are ids.",
        metadata={
            "severity": "error",
            "remedy": "A file was written by other means: restore the artefact's folder, or remove it and"
            " materialise the asset again.",
        },
    )
    @needs_output
    def tables_fit_their_schema(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
        """A table that was written by hand or by other software would break SQL and lineage later, elsewhere."""
        faults, files = [], 0
        for artefact in _current(store, asset_key):
            for name in sorted(TABLES.keys() & set(_tables_of(artefact))):
                files += 1
                file = artefact.folder / f"{name}.parquet"
                found = table_faults(file, TABLES[name]) if file.exists() else [f"{name} is gone"]
                faults += [f"{_place(artefact)}: {fault}" for fault in found]
        if faults:
            finding = f"{len(faults)} faults, the first: {faults[0]}. Restore the files, or remove their folder and"
            return verdict(False, f"{finding} materialise {asset_key} again", faults=faults[:SHOWN])
        return verdict(files > 0, f"{files} tables are sound")

    return tables_fit_their_schema


def _current(store: ArtefactStore, asset_key: str) -> list[Artefact]:
    """The current output of an asset, or of each of its generations. Raises ArtefactMissing when there is none."""
    try:
        return [store.current(asset_key)]
    except ArtefactMissing:
        found = [store.current(asset_key, partition) for partition in store.partitions(asset_key)]
        if not found:
            raise
        return found


def _tables_of(artefact: Artefact) -> list[str]:
    """The tables that an artefact was written with."""
    files = map(PurePath, artefact.manifest["files"])
    return [file.stem for file in files if file.suffix == ".parquet" and len(file.parts) == 1]


def _place(artefact: Artefact) -> str:
    partition = artefact.manifest["partition_key"]
    name = artefact.folder.name
    return f"generation {partition}, artefact {name}" if partition else f"artefact {name}"


schema_checks = [_schema_check(asset_key) for asset_key in ASSETS]
