"""A small student with an adapter, as `base_model`, `lora_model` and the dataset would have left them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from peft import LoraConfig, get_peft_model

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.dataset.sample import Example
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts
from teams_dagster.student.chat import template_version
from teams_dagster.student.loading import Recipe, load_student

TRAIN = [
    Example(f"sample-{i}", f"seed-{i % 5}", Instruction(f"Which colour is box {i}?"), f"Box {i} is red.")
    for i in range(8)
]
HELD_OUT = [
    Example(f"held-{i}", f"held-seed-{i}", Instruction(f"Name the {word}."), f"Box {i} is tan.")
    for i, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"))
]
ADAPTER_FACTS = AdapterFacts(
    kind="lora",
    updates=1,
    planned_updates=1,
    kept_update=1,
    trainable_parameters=1,
    examples=8,
    validation_examples=1,
    response_tokens=1,
    too_long=0,
    template="tokenizer",
    device="cpu",
    processes=1,
    dtype="float32",
    target_modules=["q_proj"],
    settings={},
)
DATASET_FACTS: dict[str, Any] = {
    "samples": 14,
    "examples": {"train": 8, "validation": 1, "held_out": 6},
    "seeds": {"train": 5, "validation": 1, "held_out": 6},
    "dropped": {},
    "generations": ["2026-11-02"],
}


QUERIES, NANO_USD = 32, 1_500_000_000
CARD_OF_DATASET = DataCard(
    "A dataset",
    "the dataset",
    "apache-2.0",
    "Written by the embedded rules.",
    (),
    (),
    14,
    {},
    (),
    DATASET_FACTS["examples"],
    {},
    {},
    (),
    QUERIES,
    NANO_USD,
    (),
    (),
    ("Small.",),
)
"""What the dataset took."""


def random_adapter(base: Path, folder: Path, *, seed: int = 0, scale: int = 16, modules: Any = "all-linear") -> Path:
    """An adapter that nobody trained: random, so that it changes what the base writes."""
    student = load_student(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=4, lora_alpha=scale, target_modules=modules, task_type="CAUSAL_LM", init_lora_weights=False
        )
        get_peft_model(student.model, config).save_pretrained(str(folder))
    Recipe("lora", student.template, template_version(student.tokenizer), 512).save(folder)
    return folder


def tuned_store(data: Path, base: Path, adapter: Path) -> ArtefactStore:
    """A data folder with the three of them."""
    store, made = ArtefactStore(data_dir=str(data)), {"made_at": "2026-11-02T00:00:00"}
    with store.writing("base_model", "one", about={"inputs": {}, **made}) as draft:
        shutil.copytree(base, draft.folder / "model")
        draft.finish("the base", {"student": "embedded", "embedded": True})
    with store.writing("instruction_dataset", "one", about={"inputs": {}, **made}) as draft:
        export_dataset(draft.folder / "files", {"train": TRAIN, "validation": TRAIN[:1], "held_out": HELD_OUT})
        chains = [{"sample_id": example.sample_id, "operations": ["breadth"]} for example in (*TRAIN, *HELD_OUT)]
        pq.write_table(pa.Table.from_pylist(chains), draft.folder / LINEAGE)
        (draft.folder / CARD).write_text(CARD_OF_DATASET.to_json())
        draft.finish("the dataset", DATASET_FACTS)
    inputs = {"base_model": "the base", "instruction_dataset": "the dataset"}
    with store.writing("lora_model", "one", about={"inputs": inputs, **made}) as draft:
        shutil.copytree(adapter, draft.folder / "model")
        draft.finish("the adapter", ADAPTER_FACTS)
    return store
