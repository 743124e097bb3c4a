"""What the loaded code location says of its tables' columns, and of where each comes from."""

from __future__ import annotations

import dagster as dg
import pytest

from assets.columns import LINEAGE, SCHEMA, descriptions
from teams_dagster.core.row_hash import ROW_HASH
from teams_dagster.definitions import defs
from teams_dagster.store.tables import TABLES

TABLE_OF = {
    "seed_instructions": "seeds",
    "trained_policy": "policies",
    "policy_comparison": "policy_scores",
    "generated_instructions": "transitions",
    "expert_responses": "samples",
    "base_model": "models",
    "lora_model": "models",
    "qlora_model": "models",
    "evaluation_scores": "evaluation_scores",
    "judged_win_rate": "win_rates",
    "uniform_instructions": "transitions",
    "uniform_responses": "samples",
    "lora_uniform": "models",
    "uniform_scores": "evaluation_scores",
    "outcome_scores": "evaluation_scores",
    "rlgf_model": "models",
    "rlgf_scores": "evaluation_scores",
}
LED = [
    name
    for name in (*TABLE_OF, "instruction_dataset", "uniform_dataset")
    if name not in ("seed_instructions", "base_model")
]

graph = defs.resolve_asset_graph()


def columns(asset_key: dg.AssetKey) -> dict[str, dg.TableColumn]:
    return {column.name: column for column in graph.get(asset_key).metadata[SCHEMA].columns}


def lineage(asset_key: str) -> dict[str, list[dg.TableColumnDep]]:
    return dict(graph.get(dg.AssetKey(asset_key)).metadata[LINEAGE].deps_by_column)


@pytest.mark.parametrize(("asset_key", "table"), TABLE_OF.items())
def test_a_schema_is_that_of_the_table(asset_key: str, table: str) -> None:
    found = columns(dg.AssetKey(asset_key))
    stored = {field.name: (str(field.type), field.nullable) for field in TABLES[table].schema}
    assert {name: (column.type, column.constraints.nullable) for name, column in found.items()} == stored


def test_the_dataset_has_the_columns_of_its_parquet_files() -> None:
    found = list(columns(dg.AssetKey("instruction_dataset")))
    assert found == ["sample_id", "seed_id", "instruction", "input", "output", "reasoning"]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_is_described_and_no_other(table: str) -> None:
    assert [*descriptions()[table], ROW_HASH] == TABLES[table].schema.names
    assert all(descriptions()[table].values())


@pytest.mark.parametrize("asset_key", LED)
def test_lineage_leads_from_a_column_to_a_column_of_an_asset_it_depends_on(asset_key: str) -> None:
    asset = graph.get(dg.AssetKey(asset_key))
    found = lineage(asset_key)
    assert found.keys() <= columns(asset.key).keys()
    for dep in (dep for deps in found.values() for dep in deps):
        assert dep.asset_key in asset.parent_keys
        assert dep.column_name in columns(dep.asset_key)


def test_the_answers_of_the_dataset_lead_back_to_the_seeds() -> None:
    reached, open_ends = set(), {("instruction_dataset", "output")}
    while open_ends:
        asset_key, column = open_ends.pop()
        reached.add(f"{asset_key}.{column}")
        if asset_key in LED:
            deps = lineage(asset_key).get(column, [])
            open_ends |= {(dep.asset_key.to_user_string(), dep.column_name) for dep in deps}
    assert {"expert_responses.response", "generated_instructions.instruction_id", "seed_instructions.text"} <= reached
