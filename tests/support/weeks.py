"""Generations, datasets and adapters as a store holds them, written without asking or training anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.store.artefact_store import ArtefactStore

RULES = ModelIdentity("offline", "rules")


class Weeks:
    """Writes the outputs of a project's assets into its store."""

    def __init__(self, data: Path) -> None:
        self.store = ArtefactStore(data_dir=str(data))
        self._made = 0

    def generation(self, week: str, *sample_ids: str, policy: str = "p1") -> None:
        """A generation whose kept samples are these, beside one that was refused."""
        manifest = GenerationManifest(week, policy, "s1", (("seed", 0),), (), (("expert", RULES),), 0)
        version = f"{policy} {' '.join(sample_ids)}"
        self.write("generated_instructions", version, week, files={"generation.json": manifest.to_json().encode()})
        rows = {"sample_id": [*sample_ids, "refused"], "accepted": [*(True for _ in sample_ids), False]}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(rows), sink)
        samples = {"samples.parquet": sink.getvalue().to_pybytes()}
        self.write("expert_responses", version, week, inputs={"generated_instructions": version}, files=samples)

    def dataset(self) -> None:
        """The dataset of every generation there is."""
        weeks = self.store.partitions("expert_responses")
        inputs = {
            f"expert_responses {week}": self.store.current("expert_responses", week).data_version for week in weeks
        }
        self.write("instruction_dataset", " | ".join(inputs.values()), inputs=inputs)

    def adapters(self, *names: str) -> None:
        """Adapters trained on the dataset of now."""
        inputs = {"instruction_dataset": self.store.current("instruction_dataset").data_version}
        for name in names or ("lora", "qlora"):
            self.write(f"{name}_model", f"{name} of {inputs['instruction_dataset']}", inputs=inputs)

    def retrain(self) -> None:
        """What the job `retrain` makes."""
        self.dataset()
        self.adapters()

    def write(
        self,
        asset_key: str,
        version: str,
        week: str | None = None,
        *,
        inputs: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        made_on: str = "2026-11-02",
    ) -> Path:
        """One output of an asset, made a microsecond after the one before; its folder."""
        self._made += 1
        about = {"inputs": dict(inputs or {}), "config": {}, "run_id": "run", "code_version": "1"}
        about |= {"made_at": f"{made_on}T03:00:00.{self._made:06}+00:00"}
        with self.store.writing(asset_key, f"{self._made:016x}", week, about=about) as draft:
            for name, content in (files or {}).items():
                (draft.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (draft.folder / name).write_bytes(content)
            draft.finish(version, {})
        return self.store.current(asset_key, week).folder
