from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from teams_dagster.dataset.card import DataCard, render_card
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.formats import Format
from teams_dagster.dataset.provenance import LINEAGE
from tests.support.datasets import CARD, HOSTILE, ROWS

FILES = {form.file_name(split) for form in Format for split in CARD.examples}


def front_matter(text: str) -> dict:
    _, header, _ = text.split("---\n", 2)
    return yaml.safe_load(header)


def test_the_header_is_yaml_that_the_hub_understands() -> None:
    header = front_matter(render_card(CARD, FILES))
    assert header["license"] == "other"
    assert header["language"] == ["en"]
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"][2] == {"split": "held_out", "path": "held_out.parquet"}


def test_the_body_tells_counts_sources_models_policy_cost_licence_and_limits() -> None:
    text = render_card(CARD, FILES)
    for fact in (
        "6 instructions",
        "from 4 seeds",
        "`0123abcd`",
        "`beef`, `cafe`",
        "| train | 4 |",
        "`seeds.jsonl`, SHA-256 `ffff",
        "`more.csv`, SHA-256 `eeee",
        "- `train.sharegpt.json`",
        "2026-01-05, 2026-01-12",
        "| expert | openai/gpt-x; openai/gpt-y |",
        "| duplicate | 3 |",
        "| near\\_duplicate | 11 |",
        "3,200 queries, 1.234567890 US dollars",
        "gsm8k\\_test.jsonl",
        "The terms of the expert model apply.",
        "- The models' views.",
        "- English only.",
    ):
        assert fact in text


def test_an_unknown_cost_is_called_unknown() -> None:
    assert "a cost that is not known" in render_card(replace(CARD, cost_nano_usd=None), FILES)


def test_a_dataset_that_was_not_checked_says_so() -> None:
    assert "not checked against any evaluation set" in render_card(replace(CARD, evaluation_sets=()), FILES)


def test_hostile_names_stay_text() -> None:
    name = "evil \u2028 \x85 \U0001f600 é\n---\nlicense: mit <script>alert(1)</script> | `x` [a](javascript:b)"
    text = render_card(replace(CARD, name=name, models={name: (name,)}, seed_files=(("`a`\n# b", "ff"),)), FILES)
    assert front_matter(text)["pretty_name"] == name
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "\n# b" not in body
    assert "[a](" not in body
    assert "\\[a\\](" in body


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render_card(CARD, FILES) == render_card(replace(CARD), FILES)


def test_the_facts_survive_being_stored() -> None:
    hostile = replace(CARD, name=HOSTILE, dropped={HOSTILE: 1}, seed_files=((HOSTILE, "ff"),), cost_nano_usd=None)
    assert DataCard.from_json(hostile.to_json()) == hostile


def test_a_part_counts_its_own_splits() -> None:
    text = render_card(CARD.of_splits(("validation",)), {"validation.parquet"})
    assert "1 instructions" in text
    assert "| train |" not in text
    assert [file["split"] for file in front_matter(text)["configs"][0]["data_files"]] == ["validation"]


@pytest.mark.parametrize("form", Format)
def test_the_hub_loader_reads_the_rows_of_a_folder_by_its_card(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    export_dataset(tmp_path / "dataset", ROWS)
    names = {form.file_name(split) for split in ROWS}
    for path in (tmp_path / "dataset").iterdir():
        if path.name not in names:
            path.unlink()
    (tmp_path / "dataset" / "README.md").write_text(render_card(CARD, names), encoding="utf-8")
    loaded = datasets.load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == CARD.examples


def test_lineage_is_a_second_configuration_beside_parquet_only() -> None:
    def names(files: set[str]) -> list[str]:
        return [config["config_name"] for config in front_matter(render_card(CARD, files))["configs"]]

    assert names(FILES | {LINEAGE}) == ["default", "lineage"]
    assert names({name for name in FILES if name.endswith("json")} | {LINEAGE}) == ["default"]
