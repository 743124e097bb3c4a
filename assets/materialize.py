"""How every asset is materialised: the output of the same inputs, configuration and code is reused, or made now."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.columns import lineage_of
from teams_dagster.core.markdown import as_markdown_image, markdown_table
from teams_dagster.core.metadata import Detail, Details, Json, Markdown, Picture, Table
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft, Output
from teams_dagster.store.facts.base import Facts, QueryFacts

OWNERS = ["team:data"]

DATASET_FIRST = {"dagster/priority": "2"}
"""Op tags of what a dataset takes, up to its lineage, and of the checks that it waits for: nobody waits for scores, nor
for other checks, to see the first samples."""

MODELS_NEXT = {"dagster/priority": "-1"}
"""Op tags of the students: after the dataset and its checks, some of which decide whether it goes on."""

COMPARED_LAST = {"dagster/priority": "-2"}
"""Op tags of what nothing else is made from."""

DIGITS = 4
"""Decimals that the UI shows, and of numbers below 0.01 digits that say something; artefacts keep all of them."""


class AssetConfig(dg.Config):
    """Run configuration that every asset understands."""

    force: bool = Field(default=False, description="Make the output again although one for the same inputs exists.")


@dataclass
class Materialization:
    """An output on its way: reused, or a draft that is to be filled and finished."""

    context: dg.AssetExecutionContext
    output: Output
    """What is made, by what it is a function of."""
    draft: Draft | None
    """None where an earlier output is reused."""
    artefact: Artefact | None = None
    """The output, once the block has ended (from the beginning where it is reused)."""
    preflight: list[str] = field(default_factory=list)
    """What the preflight of the roles that the draft asks warned of."""

    @property
    def folder(self) -> Path:
        """The draft's folder. Raises RuntimeError where the output is reused."""
        if self.draft is None:
            raise RuntimeError("an output that is reused has no draft: ask for `draft` first")
        return self.draft.folder

    def finish(self, data_version: str, facts: Facts) -> None:
        """State what the draft holds, by the hash of its content, and the figures worth keeping."""
        if self.draft is None:
            raise RuntimeError("an output that is reused is finished: ask for `draft` first")
        if self.preflight:
            facts = facts.model_copy(update={"preflight": self.preflight})
        self.draft.finish(data_version, facts)

    def result(self, facts: type[Facts], details: Callable[[Artefact], Details] | None = None) -> dg.MaterializeResult:
        """What Dagster records: the output's facts, and what `details` finds worth looking at in its files."""
        artefact = self.artefact
        if artefact is None:
            raise RuntimeError("the output is in its place only when the block has ended")
        shown = artefact.read_facts(facts).shown() | dict(details(artefact) if details else {})
        metadata = {
            **to_metadata(shown),
            **lineage_of(self.context.assets_def),
            "reused": self.draft is None,
            "folder": dg.MetadataValue.path(str(artefact.folder)),
        }
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(artefact.data_version))


@contextmanager
def materialization(
    context: dg.AssetExecutionContext,
    store: ArtefactStore,
    *,
    config: AssetConfig,
    inputs: Mapping[str, str] | Callable[[], Mapping[str, str]],
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    publish: Callable[[], None] | None = None,
    trusts: Callable[[Artefact], bool] = lambda _: True,
) -> Iterator[Materialization]:
    """The output of the asset of `context`: where its `draft` is not None, the block fills and finishes it.

    Args:
        config: The run configuration; `force` makes an output again.
        inputs: What the output is made from, by name, to its version. A function is called when no other process makes
            the asset any more: what takes in all generations must not miss one that was finished meanwhile.
        settings: What of the configuration decides the output; by default the whole of `config`.
        resume: The draft's folder keeps what an interrupted run left in it.
        publish: Called when the block ends, by an error too: what it asked can be read then.
        trusts: Whether an earlier output may be reused; where it may not, the output is made again.
    """
    partition_key = context.partition_key if context.assets_def.partitions_def else None
    asset_key = context.asset_key.to_user_string()
    with publishing(publish, context), store.turn(asset_key, partition_key, waiting=context.log.info):
        inputs = inputs() if callable(inputs) else inputs
        output = output_of(context.assets_def, config, inputs, settings=settings, partition_key=partition_key)
        earlier = output.earlier(store)
        reused = reusable(config, earlier)
        if reused is not None and trusts(reused):
            context.log.info(f"unchanged: the output of {reused.manifest['made_at'][:19]} is reused")
            yield Materialization(context, output, None, store.select(reused))
            return
        if earlier and not config.force:
            facts = earlier.read_facts(QueryFacts)
            if facts.unanswered:
                context.log.info(f"{facts.unanswered} queries got no answer when this was made: asking them again")
            if facts.out_of_budget:
                context.log.info("a budget ended this before its target: it goes on from what is paid")
        about = {
            "code_version": output.code_version,
            "config": dict(output.settings),
            "inputs": dict(inputs),
            "run_id": context.run.run_id,
            "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        }
        with store.writing(output.asset_key, output.name, partition_key, about=about, resume=resume) as draft:
            made = Materialization(context, output, draft)
            yield made
        made.artefact = store.current(output.asset_key, partition_key)


@contextmanager
def publishing(publish: Callable[[], None] | None, context: dg.AssetExecutionContext) -> Iterator[None]:
    """Publish when the block ends. An error of that after one of the block is logged, so that the first is seen."""
    try:
        yield
    except Exception:
        try:
            if publish is not None:
                publish()
        except Exception as error:
            context.log.warning(f"the read model could not be brought up to date: {error}")
        raise
    if publish is not None:
        publish()


def output_of(
    asset: dg.AssetsDefinition,
    config: AssetConfig,
    inputs: Mapping[str, str],
    *,
    settings: Mapping[str, Any] | None = None,
    partition_key: str | None = None,
) -> Output:
    """The output of `asset` for these inputs and settings (by default the whole of `config`)."""
    if settings is None:
        settings = config.model_dump(mode="json", exclude={"force"})
    version = asset.code_versions_by_key[asset.key] or "0"
    return Output(asset.key.to_user_string(), partition_key, version, dict(settings), dict(inputs))


def reusable(config: AssetConfig, earlier: Artefact | None) -> Artefact | None:
    """The output that would be reused: none when that is not wanted, or when it is not finished.

    It is not while queries stayed unanswered in it, or a budget ended it before its target.
    """
    if config.force or earlier is None:
        return None
    facts = earlier.read_facts(QueryFacts)
    return None if facts.unanswered or facts.out_of_budget else earlier


def to_metadata(details: Details) -> dict[str, Any]:
    """Details as Dagster shows them."""
    return {name: _value(detail) for name, detail in details.items()}


def _value(detail: Detail) -> Any:
    match detail:
        case float():
            return round(detail, DIGITS) if abs(detail) >= 0.01 else float(f"{detail:.{DIGITS}g}")
        case Table(columns, rows):
            return dg.MetadataValue.md(markdown_table(columns, rows))
        case Picture(png, alt):
            return dg.MetadataValue.md(as_markdown_image(png, alt))
        case Markdown(text):
            return dg.MetadataValue.md(text)
        case Json(value):
            return dg.MetadataValue.json(value)
        case Path():
            return dg.MetadataValue.path(str(detail))
        case _:
            return detail
