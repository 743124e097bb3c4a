from __future__ import annotations

from dataclasses import replace

import yaml

from teams_dagster.dataset.card import DataCard, render_card

CARD = DataCard(
    name="Kitchen instructions",
    dataset_version="0123abcd",
    licence="other",
    licence_note="The terms of the expert model apply.",
    languages=("en",),
    seeds_source="seeds.jsonl",
    seeds_sha256="ff" * 32,
    seeds_used=240,
    seeds_refused={"duplicate": 3},
    generations=("2026-01-05", "2026-01-12"),
    examples={"train": 900, "validation": 120, "held_out": 230},
    dropped={"near_duplicate": 11, "refusal": 2},
    models={"expert": "openai/gpt-x", "reviewer": "offline/rules"},
    policy_version="beef",
    queries=3_200,
    cost_nano_usd=1_234_567_890,
    evaluation_sets=("gsm8k_test.jsonl",),
    limits=("English only.",),
)


def front_matter(text: str) -> dict:
    _, header, _ = text.split("---\n", 2)
    return yaml.safe_load(header)


def test_the_header_is_yaml_that_the_hub_understands() -> None:
    header = front_matter(render_card(CARD))
    assert header["license"] == "other"
    assert header["language"] == ["en"]
    assert header["size_categories"] == ["1K<n<10K"]
    assert header["configs"][0]["data_files"][2] == {"split": "held_out", "path": "held_out.parquet"}


def test_the_body_tells_counts_sources_models_policy_cost_licence_and_limits() -> None:
    text = render_card(CARD)
    for fact in (
        "1,250 instructions",
        "from 240 seeds",
        "`0123abcd`",
        "`beef`",
        "| train | 900 |",
        "seeds.jsonl",
        "2026-01-05, 2026-01-12",
        "| expert | openai/gpt-x |",
        "| duplicate | 3 |",
        "| near\\_duplicate | 11 |",
        "3,200 queries, 1.234567890 US dollars",
        "gsm8k\\_test.jsonl",
        "The terms of the expert model apply.",
        "- English only.",
    ):
        assert fact in text


def test_an_unknown_cost_is_called_unknown() -> None:
    assert "a cost that is not known" in render_card(replace(CARD, cost_nano_usd=None))


def test_a_dataset_that_was_not_checked_says_so() -> None:
    assert "not checked against any evaluation set" in render_card(replace(CARD, evaluation_sets=()))


def test_hostile_names_stay_text() -> None:
    name = "evil \u2028 \x85 \U0001f600 é\n---\nlicense: mit <script>alert(1)</script> | `x` [a](javascript:b)"
    text = render_card(replace(CARD, name=name, models={name: name}, seeds_source="`a`\n# b"))
    assert front_matter(text)["pretty_name"] == name
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "\n# b" not in body
    assert "[a](" not in body
    assert "\\[a\\](" in body


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render_card(CARD) == render_card(replace(CARD))
