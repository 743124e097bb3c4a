"""The columns of the assets' tables, and which upstream columns each is made from: what the Dagster UI shows."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import dagster as dg

from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.dataset.formats import COLUMNS as EXPORTED
from teams_dagster.dataset.formats import REASONING
from teams_dagster.store.tables import TABLES
from teams_dagster.store.transition_row import transition_columns

SCHEMA = "dagster/column_schema"
LINEAGE = "dagster/column_lineage"

TEXTS = ("instruction", "input", "output")

Lineage = Mapping[str, str]
"""Column to the upstream columns that it is made from: `asset.column`, separated by spaces."""

POLICIES: Lineage = {
    "policy_version": "seed_instructions.text seed_instructions.input",
    "seeds_version": "seed_instructions.seed_id seed_instructions.response seed_instructions.cluster_id",
    "pool_version": "seed_instructions.text seed_instructions.input",
}
TRANSITIONS: Lineage = {
    "transition_id": "seed_instructions.seed_id trained_policy.policy_version",
    "episode_id": "seed_instructions.seed_id trained_policy.policy_version",
    "seed_id": "seed_instructions.seed_id",
    "operation": "trained_policy.policy_version seed_instructions.text seed_instructions.input",
    "probability": "trained_policy.policy_version seed_instructions.text seed_instructions.input",
    "policy_version": "trained_policy.policy_version",
    "parent_id": "seed_instructions.instruction_id",
    "instruction_id": "seed_instructions.text seed_instructions.input trained_policy.policy_version",
    "verdict": "seed_instructions.text seed_instructions.input",
    "verdict_probability": "seed_instructions.text seed_instructions.input",
    "novelty": "seed_instructions.text seed_instructions.input trained_policy.pool_version",
    "reward": "seed_instructions.text seed_instructions.input trained_policy.pool_version trained_policy.config",
    "pool_version": "trained_policy.pool_version",
    "reward_preset": "trained_policy.config",
}
SAMPLES: Lineage = {
    "sample_id": "generated_instructions.transition_id",
    **{
        name: f"generated_instructions.{name}"
        for name in ("transition_id", "episode_id", "step", "partition_key", "seed_id", "instruction_id")
    },
    "instruction": "generated_instructions.instruction_id",
    "input": "generated_instructions.instruction_id",
    "response": "generated_instructions.instruction_id",
    "accepted": "generated_instructions.instruction_id",
    "reason": "generated_instructions.instruction_id",
    "reasoning": "generated_instructions.instruction_id",
}
PAIR_SCORES: Lineage = {
    **{name: f"expert_responses.{name}" for name in ("sample_id", "partition_key", "respond_request_id")},
    **dict.fromkeys(
        ("score", "rating", "chosen"),
        "expert_responses.instruction expert_responses.input expert_responses.response",
    ),
    "constraints": "expert_responses.instruction",
    "broken": "expert_responses.instruction expert_responses.response",
    "broken_constraints": "expert_responses.instruction expert_responses.response",
}
DATASET: Lineage = {
    **{name: f"expert_responses.{name}" for name in ("sample_id", "seed_id", "instruction", "input")},
    "output": "expert_responses.response",
    "reasoning": "expert_responses.reasoning",
}
_LEARNT = " ".join(f"instruction_dataset.{name}" for name in TEXTS)
_VERSIONS = " ".join(f"{name}.model_version" for name in ("base_model", "lora_model", "qlora_model"))
ADAPTERS: Lineage = {
    "model_version": f"base_model.model_version {_LEARNT}",
    "sha256": f"base_model.model_version {_LEARNT}",
    "base_version": "base_model.model_version",
    "dataset_version": f"instruction_dataset.sample_id {_LEARNT}",
}
_TUNED = f"lora_model.model_version base_model.model_version {_LEARNT}"
RLGF_ADAPTER: Lineage = {
    "model_version": _TUNED,
    "sha256": _TUNED,
    "base_version": "base_model.model_version",
    "dataset_version": f"instruction_dataset.sample_id {_LEARNT}",
}
_PLAYED = "seed_instructions.text seed_instructions.input trained_policy.policy_version trained_policy.config"
POLICY_SCORES: Lineage = {
    "mean": _PLAYED,
    "ci_low": _PLAYED,
    "ci_high": _PLAYED,
    "policy_version": "trained_policy.policy_version",
}
_SCORED = f"{_LEARNT} instruction_dataset.seed_id {_VERSIONS}"
EVALUATION_SCORES: Lineage = {
    "value": _SCORED,
    "stderr": _SCORED,
    "ci_low": _SCORED,
    "ci_high": _SCORED,
    "n": "instruction_dataset.seed_id",
    "model_version": _VERSIONS,
    "dataset_version": f"instruction_dataset.sample_id {_LEARNT}",
}
_STAGES = " ".join(f"{name}.model_version" for name in ("base_model", "lora_model", "rlgf_model"))
_STAGES_SCORED = f"{_LEARNT} instruction_dataset.seed_id {_STAGES}"
RLGF_SCORES: Lineage = {
    **dict.fromkeys(("value", "stderr", "ci_low", "ci_high"), _STAGES_SCORED),
    "n": "instruction_dataset.seed_id",
    "model_version": _STAGES,
    "dataset_version": f"instruction_dataset.sample_id {_LEARNT}",
}
_JUDGED = f"{_SCORED} instruction_dataset.sample_id"
WIN_RATES: Lineage = {
    **dict.fromkeys(
        ["win_rate", "ci_low", "ci_high", "length_controlled", "lc_low", "lc_high", "mean_length"], _JUDGED
    ),
    "mean_length_base": f"base_model.model_version {_LEARNT}",
    "model_version": _VERSIONS,
    "dataset_version": f"instruction_dataset.sample_id {_LEARNT}",
}


def _in_arm(lineage: Lineage, **renamed: str) -> Lineage:
    """The same lineage where other assets stand in the place of those named."""

    def upstream(names: str) -> str:
        parts = (name.split(".") for name in names.split())
        return " ".join(f"{renamed.get(asset, asset)}.{column}" for asset, column in parts)

    return {column: upstream(names) for column, names in lineage.items()}


UNIFORM_TRANSITIONS: Lineage = {
    name: f"generated_instructions.{name}" for name in ("seed_id", "pool_version", "reward_preset")
}
UNIFORM_SAMPLES = _in_arm(SAMPLES, generated_instructions="uniform_instructions")
UNIFORM_DATASET = _in_arm(DATASET, expert_responses="uniform_responses")
UNIFORM_ADAPTER = _in_arm(ADAPTERS, instruction_dataset="uniform_dataset")
_UNIFORM_VERSIONS = " ".join(f"{name}.model_version" for name in ("base_model", "lora_model", "lora_uniform"))
UNIFORM_SCORES: Lineage = {
    **dict.fromkeys(("value", "stderr", "ci_low", "ci_high"), _UNIFORM_VERSIONS),
    "model_version": _UNIFORM_VERSIONS,
    "dataset_version": "instruction_dataset.sample_id uniform_dataset.sample_id",
    "n": "instruction_dataset.seed_id uniform_dataset.seed_id",
}
_OUTCOME = "base_model.model_version trained_policy.policy_version seed_instructions.text seed_instructions.input"
OUTCOME: Lineage = dict.fromkeys(("value", "stderr", "ci_low", "ci_high"), _OUTCOME)


def table_columns(table: str, lineage: Lineage | None = None) -> dict[str, Any]:
    """Definition metadata of an asset whose rows are those of a table of the read model. Raises KeyError."""
    described = descriptions()[table] | {ROW_HASH: "Hash of the row's other fields"}
    return _metadata(
        [
            dg.TableColumn(
                field.name,
                str(field.type),
                description=described[field.name],
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in TABLES[table].schema
        ],
        lineage,
    )


def dataset_columns(lineage: Lineage = DATASET) -> dict[str, Any]:
    """Definition metadata of an arm's dataset: the columns that its Parquet files may have."""
    return _metadata(
        [
            dg.TableColumn(
                name, "string", description=told, constraints=dg.TableColumnConstraints(nullable=name in REASONING)
            )
            for name, told in (EXPORTED | REASONING).items()
        ],
        lineage,
    )


def lineage_of(asset: dg.AssetsDefinition) -> dict[str, Any]:
    """The column lineage of a definition as metadata of a materialisation: the UI draws the latest one's."""
    known = asset.metadata_by_key[asset.key]
    return {LINEAGE: known[LINEAGE]} if LINEAGE in known else {}


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """What each column of each table holds."""
    told = tomllib.loads(files("assets").joinpath("columns.toml").read_text("utf-8"))
    return told | {"transitions": transition_columns()}


def _metadata(columns: list[dg.TableColumn], lineage: Lineage | None) -> dict[str, Any]:
    schema = {SCHEMA: dg.TableSchema(columns)}
    if not lineage:
        return schema
    deps = {column: list(_dependencies(upstream)) for column, upstream in lineage.items()}
    return {**schema, LINEAGE: dg.TableColumnLineage(deps)}


def _dependencies(upstream: str) -> Iterator[dg.TableColumnDep]:
    for name in upstream.split():
        asset, column = name.split(".")
        yield dg.TableColumnDep(dg.AssetKey(asset), column)
