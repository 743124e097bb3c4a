"""The metadata that other tools read a dataset by."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.dataset.card import DataCard
from teams_dagster.dataset.croissant import CROISSANT, ExportedFile, render_croissant
from teams_dagster.dataset.export import describe_folder, export_dataset
from teams_dagster.dataset.provenance import LINEAGE, write_provenance
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split
from tests.support.chains import Chain, sample_ids, write_generation, write_members
from tests.support.datasets import CARD, HOSTILE, ROWS

CHAINS = (Chain(0, (("breadth", None, True), ("deepening", 0, True))),)


def free(requests: Collection[str]) -> dict[str, int | None]:
    return dict.fromkeys(requests)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with its lineage, described."""
    folder, tables = tmp_path_factory.mktemp("dataset"), tmp_path_factory.mktemp("tables")
    export_dataset(folder, ROWS)
    members = write_members(tables, dict.fromkeys(sample_ids(CHAINS), "train"))
    write_provenance(folder / LINEAGE, members, [write_generation(tables, CHAINS)], free)
    describe_folder(folder, CARD)
    return folder


def load(path: Path) -> Any:
    return pytest.importorskip("mlcroissant").Dataset(jsonld=str(path))


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    """Records by the names of their fields, texts decoded."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value.decode() if isinstance(value, bytes) else value

    found = load(folder / CROISSANT).records(name)
    return [{key.removeprefix(f"{name}/"): plain(value) for key, value in record.items()} for record in found]


def metadata(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CROISSANT).read_text(encoding="utf-8"))


@pytest.mark.parametrize("card", [CARD, replace(CARD, name=HOSTILE, seed_files=((HOSTILE, "ff"),), limits=(HOSTILE,))])
def test_it_is_valid_without_a_warning(folder: Path, card: DataCard, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / CROISSANT).unlink()
    (tmp_path / "README.md").unlink()
    describe_folder(tmp_path, card)
    issues = load(tmp_path / CROISSANT).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


def test_it_conforms_to_croissant_and_its_responsible_ai_extension(folder: Path) -> None:
    assert metadata(folder)["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]


@pytest.mark.parametrize("split", ROWS)
def test_the_rows_of_a_split_are_read_from_disk(folder: Path, split: Split) -> None:
    def as_record(e: Example) -> dict[str, str]:
        texts = {"instruction": e.instruction.text, "input": e.instruction.input, "output": e.response}
        return {"sample_id": e.sample_id, "seed_id": e.seed_id, **texts}

    assert records(folder, split) == [as_record(example) for example in ROWS[split]]


def test_the_lineage_is_read_from_disk_and_an_unknown_cost_stays_unknown(folder: Path) -> None:
    rows = records(folder, "lineage")
    assert [row["operations"] for row in rows] == [["breadth"], ["breadth", "deepening"]]
    assert all(row["cost_nano_usd"] != row["cost_nano_usd"] or row["cost_nano_usd"] is None for row in rows)


def test_a_file_that_was_changed_is_not_read(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "train.parquet").write_bytes((folder / "validation.parquet").read_bytes())
    with pytest.raises(Exception, match=r"Download\(train"):
        records(tmp_path, "train")


def test_every_file_is_described_with_its_hash(folder: Path) -> None:
    described = {file["@id"]: file for file in metadata(folder)["distribution"]}
    assert set(described) == {path.name for path in folder.iterdir()} - {"README.md", CROISSANT}
    assert described["train.chat.jsonl"]["encodingFormat"] == "application/jsonlines"
    assert described["train.parquet"]["contentSize"] == f"{(folder / 'train.parquet').stat().st_size} B"
    assert all(len(file["sha256"]) == 64 for file in described.values())


def test_the_dataset_is_derived_from_seed_files_and_generated_by_policies_and_models(folder: Path) -> None:
    read = load(folder / CROISSANT).metadata.to_json()
    assert [seeds["prov:label"] for seeds in read["prov:wasDerivedFrom"]] == ["seeds.jsonl", "more.csv"]
    assert [seeds["sha256"] for seeds in read["prov:wasDerivedFrom"]] == ["ff" * 32, "ee" * 32]
    agents = [agent["prov:label"] for agent in read["prov:wasGeneratedBy"]["prov:wasAssociatedWith"]]
    assert agents == [
        "policy beef",
        "policy cafe",
        "expert: openai/gpt-x",
        "expert: openai/gpt-y",
        "reviewer: offline/rules",
    ]


def test_the_fields_of_the_lineage_are_mapped_to_prov(folder: Path) -> None:
    [lineage] = [found for found in metadata(folder)["recordSet"] if found["@id"] == "lineage"]
    assert lineage["dataType"] == "prov:Entity"
    mapped = {field["name"]: field.get("equivalentProperty") for field in lineage["field"]}
    assert mapped["seed_id"] == "prov:wasDerivedFrom"
    assert mapped["transition_id"] == mapped["respond_request_id"] == "prov:wasGeneratedBy"
    assert mapped["policy_version"] == mapped["expert"] == "prov:wasAttributedTo"


@pytest.mark.parametrize("split", ROWS)
def test_a_row_of_a_split_is_derived_from_its_seed(folder: Path, split: str) -> None:
    [found] = [found for found in metadata(folder)["recordSet"] if found["@id"] == split]
    mapped = {field["name"]: field.get("equivalentProperty") for field in found["field"]}
    assert {name: prov for name, prov in mapped.items() if prov} == {"seed_id": "prov:wasDerivedFrom"}


def test_the_facts_of_the_card_are_responsible_ai_properties(folder: Path) -> None:
    read = load(folder / CROISSANT).metadata
    assert read.data_limitations == ["English only."]
    assert read.data_biases == ["The models' views."]
    assert "gsm8k_test.jsonl" in str(read.data_preprocessing_protocol)
    assert "4 seeds" in read.data_collection


def test_without_parquet_the_files_alone_are_described(tmp_path: Path) -> None:
    text = render_croissant(CARD, [ExportedFile("train.chat.jsonl", "aa" * 32, 7)])
    assert "recordSet" not in json.loads(text)
    (tmp_path / CROISSANT).write_text(text, encoding="utf-8")
    assert load(tmp_path / CROISSANT).metadata.ctx.issues.warnings == set()


def test_the_same_facts_give_the_same_bytes() -> None:
    files = [ExportedFile(name, "aa" * 32, 7) for name in ("train.parquet", "validation.parquet")]
    assert render_croissant(CARD, files) == render_croissant(replace(CARD), reversed(files))
