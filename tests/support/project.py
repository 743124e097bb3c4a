"""A project over a temporary data folder, materialised asset by asset in this process on the offline rules."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
from matplotlib.backends.backend_agg import FigureCanvasAgg

import assets as graph
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.ledger.costs import total_cost
from teams_dagster.store.artefact_store import ArtefactStore

SMALL = {
    "trained_policy": {"config": {"iterations": 1, "episodes_per_iteration": 32}},
    "policy_comparison": {
        "config": {
            "training_seeds": 1,
            "baselines": ["round_robin"],
            "ablations": [],
            "questions_per_seed": 12,
            "resamples": 200,
        }
    },
    "generated_instructions": {"config": {"seeds": 12}},
}


@cache
def _everything() -> Sequence[Any]:
    """Every asset of the graph."""
    return dg.load_assets_from_package_module(graph)


def _leave_blank(canvas: FigureCanvasAgg) -> None:
    """In the place of drawing, which takes half of a small run: pictures have tests of their own."""
    canvas.get_renderer()


def _leave_as_it_is(models: LanguageModels) -> None:
    """In the place of publishing the read model, which has tests of its own."""


class Project:
    """A data folder, and what is materialised in it."""

    def __init__(self, data: Path, *, draws: bool = False, publishes: bool = False, shared: str | None = None) -> None:
        """`draws`: the pictures beside outputs are drawn, which takes half of a small run; else they stay blank.

        `publishes`: each step brings `teams.duckdb` up to date when it ends, a third of a small step; else only what
        asks for that does. `shared` is where its outputs are shared with other machines.
        """
        self._draws, self.publishes = draws, publishes
        root = str(Path(__file__).parent.parent.parent)
        self.store = ArtefactStore(data_dir=str(data), shared_url=shared)
        self.ledger = LedgerConnection(root=root, store=self.store)
        self.instance = dg.DagsterInstance.ephemeral()
        self.models = LanguageModels(root=root, ledger=self.ledger)

    def make(self, *assets: dg.AssetsDefinition, week: str | None = None, **config: dict[str, Any]) -> bool:
        ops = {name: settings for name, settings in SMALL.items() if any(a.op.name == name for a in assets)}
        ops |= {
            name: {"config": {**SMALL.get(name, {}).get("config", {}), **settings}} for name, settings in config.items()
        }
        with ExitStack() as patches:
            if not self._draws:
                patches.enter_context(patch.object(FigureCanvasAgg, "draw", _leave_blank))
            if not self.publishes:
                patches.enter_context(patch.object(LanguageModels, "publish", _leave_as_it_is))
            result = dg.materialize(
                _everything(),
                selection=list(assets),
                partition_key=week,
                instance=self.instance,
                resources={"store": self.store, "ledger": self.ledger, "models": self.models},
                run_config={"ops": ops},
                raise_on_error=False,
            )
        self.last = result
        return result.success

    @property
    def calls(self) -> int:
        with self.ledger.open() as ledger:
            return total_cost(ledger).calls

    def version(self, asset_key: str, week: str | None = None) -> str:
        return self.store.current(asset_key, week).data_version
