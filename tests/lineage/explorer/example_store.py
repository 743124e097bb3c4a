"""Small read models to make pages of: two weeks, three chains, every kind of row. And a large one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from teams_dagster.lineage.explorer.page import ExplorerFacts
from teams_dagster.store import views

ABOUT = ExplorerFacts(
    data_folder="data",
    rows_verified=1234,
    rows_not_verified={"no answer at the time": 5},
    chain_head="c4a1" * 16,
    sealed_at=datetime(2026, 11, 25, 11, 4, tzinfo=UTC),
)

FIRST_WEEK, SECOND_WEEK = "2026-11-16", "2026-11-23"


@dataclass
class Store:
    """Rows of a read model, by table."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def seed(self, name: str, text: str, **values: Any) -> None:
        known = {"source": "seeds.jsonl", "source_sha256": "5eed" * 16, "row": 3, "cluster_id": name, "response": ""}
        self.rows["seeds"].append({"seed_id": name, "text": text, "input": "", **known, **values})
        self._instruction(f"{name}:", text, values.get("input", ""))

    def edit(self, name: str, before: str, text: str | None, given: str = "", **values: Any) -> None:
        """A transition `<episode>.<step>` from the instruction of `before`: a seed, or another transition."""
        episode, step = name.split(".")
        known = {
            "transition_id": name,
            "parent_transition_id": before if "." in before else None,
            "episode_id": episode,
            "episode": 0,
            "step": int(step),
            "purpose": "generate",
            "probability": 0.25,
            "chosen_by": "policy",
            "policy": "trained",
            "policy_version": "policy-1",
            "parent_id": f"{before}:",
            "instruction_id": None if text is None else f"{name}:",
            "rewrite_request_id": f"rewrite {name}",
            "review_request_id": f"review {name}",
            "prompt_version": "prompt-1",
            "review_prompt_version": "prompt-2",
            "pool_version": "pool-1",
            "verdict": "not_equal",
            "novelty": 0.5,
            "reward": 0.8,
            "reward_preset": "graded",
            "accepted": True,
            "queries": 2,
            "guidance_queries": 0,
            "partition_key": FIRST_WEEK,
            "run_id": "run-1",
        }
        self.rows["transitions"].append({**known, **values})
        if text is not None:
            self._instruction(f"{name}:", text, given)
        for kind in ("rewrite", "review"):
            self._call(f"{kind} {name}", name, "expert" if kind == "rewrite" else "reviewer")

    def sample(self, name: str, made_by: str, seed: str, response: str | None, **values: Any) -> None:
        """The sample made by a transition, at the end of its chain."""
        edits = {row["transition_id"]: row for row in self.rows["transitions"]}
        made = edits[made_by]
        text = self.rows["instructions"][
            [row["instruction_id"] for row in self.rows["instructions"]].index(f"{made_by}:")
        ]
        known = {
            "sample_id": name,
            "transition_id": made_by,
            "episode_id": made["episode_id"],
            "step": made["step"],
            "partition_key": made["partition_key"],
            "seed_id": seed,
            "instruction_id": f"{made_by}:",
            "instruction": text["text"],
            "input": text["input"],
            "response": response,
            "respond_request_id": f"respond {made_by}",
            "accepted": True,
            "reason": None,
            "run_id": "run-1",
        }
        self.rows["samples"].append({**known, **values})
        self._call(f"respond {made_by}", made_by, "expert")
        chain = [made_by]
        while edits[chain[0]]["parent_transition_id"] is not None:
            chain.insert(0, edits[chain[0]]["parent_transition_id"])
        for hop, transition in enumerate(chain, start=1):
            self.rows["sample_hops"].append({"sample_id": name, "hop": hop, "transition_id": transition})

    def write(self, path: Path) -> Path:
        """The read model as a DuckDB file."""
        with duckdb.connect(path) as connection:
            views.create(connection)
            for table, rows in self.rows.items():
                columns = list(dict.fromkeys(name for row in rows for name in row))
                batch = {name: [row.get(name) for row in rows] for name in columns}
                connection.register("batch", pa.table(batch))
                connection.execute(f"insert into {table} by name select * from batch")
                connection.unregister("batch")
        return path

    def _instruction(self, name: str, text: str, given: str) -> None:
        self.rows["instructions"].append({"instruction_id": name, "text": text, "input": given})

    def _call(self, name: str, transition: str, role: str, **values: Any) -> None:
        known: Mapping[str, Any] = {
            "request_id": name,
            "request_key": f"key of {name}",
            "role": role,
            "purpose": name.split()[0],
            "provider": "openai",
            "model": "gpt-test",
            "run_id": "run-1",
            "asset_key": "generated_instructions",
        }
        now = datetime(2026, 11, 25, tzinfo=UTC).replace(tzinfo=None)
        call = {"attempt": 1, "status": "ok", "outcome": "usable", "base_url": "https://host/v1", "replica": 0}
        paid = {"prompt_tokens": 100, "completion_tokens": 20, "cost_nano_usd": 1_500_000, "prompt_version": "prompt-1"}
        self.rows["llm_calls"].append({**known, **call, **paid, "process": "host:1", "started_at": now, **values})
        use = {"use_id": name, "reused": role == "reviewer", "outcome": "usable", "transition_id": transition}
        self.rows["llm_requests"].append({**known, **use, "asked_at": now})


def example() -> Store:
    """Two weeks. First: rivers-1 > rivers-2 with a refused edit between. Second: an answer refused, and a late edit."""
    store = Store()
    store.seed("seed-rivers", "Name three rivers.", response="Nile, Rhine, Amur", row=7)
    store.seed("seed-table", "Sort the table", input="b 2\na 1")
    store.edit("e1.0", "seed-rivers", "Name three rivers of Asia.", operation="concretizing", probability=0.125)
    refused: dict[str, Any] = {"verdict": "equal", "accepted": False, "reward": -0.2, "novelty": None}
    store.edit("e1.1", "e1.0", "Name 3 rivers of Asia.", operation="deepening", **refused)
    likely = {"verdict_probability": 0.875, "orders_agree": False}
    store.edit("e1.2", "e1.0", "Name four rivers of Asia, in verse.", operation="add_constraints", reward=0.3, **likely)
    store.sample("rivers-1", "e1.0", "seed-rivers", "Yangtze, Mekong, Indus")
    store.sample("rivers-2", "e1.2", "seed-rivers", "The Yangtze wide, the Mekong slow")
    second: dict[str, Any] = {"partition_key": SECOND_WEEK, "policy_version": "policy-2", "run_id": "run-2"}
    guided = {"chosen_by": "guide", "proposed": "complicate_input", "guidance_queries": 1}
    store.edit(
        "e2.0", "seed-table", "Sort the table", "b 2\nc 3\na 1", operation="complicate_input", **second, **guided
    )
    store.sample("table-1", "e2.0", "seed-table", None, accepted=False, reason="short_apology", run_id="run-2")
    store.rows["llm_calls"][-1]["cost_nano_usd"] = None
    malformed: dict[str, Any] = {**refused, "verdict": None, "eliminated_by": "malformed_reply"}
    store.edit("e2.1", "e2.0", None, operation="breadth", **second, **malformed)
    store.rows["dataset_samples"] += [
        {"dataset_version": version, "sample_id": sample, "split": split}
        for version, sample, split in (
            ("dataset-old", "rivers-1", "train"),
            ("dataset-new", "rivers-1", "train"),
            ("dataset-new", "rivers-2", "held_out"),
        )
    ]
    model = {"path": "model", "base_version": "base-1", "run_id": "run-1"}
    store.rows["models"].append(
        {"model_version": "adapter-1", "kind": "lora", "dataset_version": "dataset-new", **model}
    )
    store.rows["policies"] += [{"policy_version": "policy-1", "algorithm": "trpo", "iterations": 26, "queries": 9000}]
    store.rows["prompt_templates"] += [
        {"prompt_version": "prompt-1", "name": "concretizing", "text": "Make it concrete: {{ instruction }}"},
        {"prompt_version": "prompt-2", "name": "review", "text": "Equal or not?"},
    ]
    store.rows["artefacts"] += [
        _artefact(0, "instruction_dataset", None, "dataset-old", current=False),
        _artefact(1, "instruction_dataset", None, "dataset-new"),
        _artefact(2, "generated_instructions", FIRST_WEEK, "data-1", code_version="code-7"),
        _artefact(3, "expert_responses", FIRST_WEEK, "data-2", code_version="code-8"),
    ]
    return store


def several() -> Store:
    """The example, where rivers-1 has two answers, both rated: the second was chosen."""
    store = example()
    [own] = [row for row in store.rows["samples"] if row["sample_id"] == "rivers-1"]
    second, place = "respond again e1.0", {"sample_id": "rivers-1", "partition_key": FIRST_WEEK}
    for number, (request, response) in enumerate(
        ((own["respond_request_id"], own["response"]), (second, "Ob, Lena, Amur"))
    ):
        given = {**place, "answer": number, "respond_request_id": request, "response": response, "accepted": True}
        store.rows["sample_answers"].append(given)
        scored = {**place, "answer": number, "respond_request_id": request, "chosen": request == second}
        judged = {"judge_request_id": f"rate {number} e1.0", "rating": "good", "score": 1.0}
        store.rows["pair_scores"].append({**scored, **judged, "constraints": 0, "broken": 0})
        store._call(f"rate {number} e1.0", "e1.0", "judge", asset_key="pair_scores")
    store._call(second, "e1.0", "expert")
    return store


def _artefact(position: int, asset: str, partition: str | None, version: str, **values: Any) -> dict[str, Any]:
    known = {"manifest_sha256": "f" * 64, "current": True, "code_version": "1", "run_id": "run-1"}
    place = {
        "asset_key": asset,
        "partition_key": partition,
        "data_version": version,
        "fingerprint": f"print-{position}",
    }
    made = {"made_at": f"2026-11-2{position}T10:00:00+00:00", "folder": f"/data/{position}"}
    return {"position": position, **known, **place, **made, **values}


HOSTILE = (
    '</script><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }} <!-- ]]> '
    "\x1b[31mred\x1b[0m \u202eevil\u202c \u200bzero \x00nul \x07bell \u2066iso\u2069 ' \" ` ${x} \\u003c"
)
"""Markup, script, template, terminal escapes, bidirectional, invisible and control characters."""


def hostile() -> Store:
    """The example with HOSTILE at the end of every text, name and id that a person, a model or a path could bring."""
    store = Store()
    kept = {"purpose", "seed_id", "policy_version", "partition_key"}
    for table, rows in example().rows.items():
        for row in rows:
            spoilt = {
                name: f"{value}{HOSTILE}" if isinstance(value, str) and name not in kept else value
                for name, value in row.items()
            }
            store.rows[table].append(spoilt if table != "artefacts" else row)
    return store


def write_many(path: Path, samples: int, words: int = 8) -> Path:
    """A read model of many samples of one edit each, with texts of `words` words; number 4,321 has the word needle."""
    text = f"'text ' || i || if(i = 4321, ' needle', '') || repeat(' word' || (i % 977), {words})"
    with duckdb.connect(path) as connection:
        views.create(connection)
        connection.execute(f"create temp table numbers as select i, {text} as text from range({samples}) as t(i)")
        for statement in _MANY:
            connection.execute(statement)
    return path


_MANY = (
    "insert into seeds by name select 'seed-' || i as seed_id, 'seed ' || i as text, '' as input, i as row"
    " from range(1000) as t(i)",
    "insert into instructions by name select 'after-' || i as instruction_id, text, '' as input from numbers",
    "insert into instructions by name select 'before-' || i as instruction_id, 'seed ' || i as text, '' as input"
    " from range(1000) as t(i)",
    "insert into transitions by name select 't-' || i as transition_id, 'e-' || i as episode_id,"
    " 'seed-' || (i % 1000) as seed_id, 0 as episode, 0 as step, ['breadth', 'deepening'][1 + i % 2] as operation,"
    " 0.5 as probability, 'policy' as policy_version, 'before-' || (i % 1000) as parent_id,"
    " 'after-' || i as instruction_id, 'not_equal' as verdict, i / 100000 as reward, true as accepted,"
    " '2026-11-16' as partition_key from numbers",
    "insert into samples by name select 's-' || i as sample_id, 't-' || i as transition_id, 'e-' || i as episode_id,"
    " 0 as step, '2026-11-16' as partition_key, 'seed-' || (i % 1000) as seed_id, 'after-' || i as instruction_id,"
    " text as instruction, '' as input, text || ' answered' as response, true as accepted from numbers",
    "insert into sample_hops select 's-' || i, 1, 't-' || i from numbers",
)
