"""A small dataset with hostile rows, and the facts of its card."""

from __future__ import annotations

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.card import DataCard
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split

HOSTILE = (
    '</script><script>alert(1)</script> \u202egnp.exe \u2028\u2029\x85\x1c ../../x\\y " \' `\r\n\t\0 é 😀 {"a": [1]}'
)

ROWS: dict[Split, tuple[Example, ...]] = {
    "train": (
        Example("a", "s1", Instruction("Add.", "1 + 1"), "2"),
        Example("../../b", "s2", Instruction(HOSTILE, HOSTILE), HOSTILE),
        Example("q", "s2", Instruction('"'), "'"),
        Example("long", "s2", Instruction("word " * 200_000), "line\u2028" * 150_000),
    ),
    "validation": (Example("c", "s3", Instruction("Name a tree."), "Oak."),),
    "held_out": (Example("d", "s4", Instruction("[1, 2]", "null"), "NaN"),),
}

CARD = DataCard(
    name="Kitchen instructions",
    dataset_version="0123abcd",
    licence="other",
    licence_note="The terms of the expert model apply.",
    languages=("en",),
    seed_files=(("seeds.jsonl", "ff" * 32), ("more.csv", "ee" * 32)),
    seeds_used=4,
    seeds_refused={"duplicate": 3},
    generations=("2026-01-05", "2026-01-12"),
    examples={split: len(rows) for split, rows in ROWS.items()},
    dropped={"near_duplicate": 11, "refusal": 2},
    models={"expert": ("openai/gpt-x", "openai/gpt-y"), "reviewer": ("offline/rules",)},
    policy_versions=("beef", "cafe"),
    queries=3_200,
    cost_nano_usd=1_234_567_890,
    evaluation_sets=("gsm8k_test.jsonl",),
    biases=("The models' views.",),
    limits=("English only.",),
)
